# SPDX-License-Identifier: Apache-2.0

"""The network to build, which is an ONNX graph, and the parser that reads it."""

import os

import onnx
from onnx import TensorProto, numpy_helper, shape_inference

from tensorrt import _rtx
from tensorrt._enums import DataType, LayerType
from tensorrt._version import MAJOR

_DATA_TYPES = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.HALF,
    TensorProto.BFLOAT16: DataType.BF16,
    TensorProto.INT8: DataType.INT8,
    TensorProto.INT32: DataType.INT32,
    TensorProto.INT64: DataType.INT64,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.BOOL: DataType.BOOL,
}

_LAYER_TYPES = {
    "Conv": LayerType.CONVOLUTION,
    "Cast": LayerType.CAST,
    "Constant": LayerType.CONSTANT,
    "Concat": LayerType.CONCATENATION,
    "Gather": LayerType.GATHER,
    "Gemm": LayerType.MATRIX_MULTIPLY,
    "MatMul": LayerType.MATRIX_MULTIPLY,
    "Softmax": LayerType.SOFTMAX,
    "Resize": LayerType.RESIZE,
    "Shape": LayerType.SHAPE,
    "Slice": LayerType.SLICE,
    "TopK": LayerType.TOPK,
    "LayerNormalization": LayerType.NORMALIZATION,
    "BatchNormalization": LayerType.SCALE,
    "QuantizeLinear": LayerType.QUANTIZE,
    "DequantizeLinear": LayerType.DEQUANTIZE,
    "Relu": LayerType.ACTIVATION,
    "Sigmoid": LayerType.ACTIVATION,
    "Tanh": LayerType.ACTIVATION,
    "Add": LayerType.ELEMENTWISE,
    "Sub": LayerType.ELEMENTWISE,
    "Mul": LayerType.ELEMENTWISE,
    "Div": LayerType.ELEMENTWISE,
    "Reshape": LayerType.SHUFFLE,
    "Transpose": LayerType.SHUFFLE,
    "Flatten": LayerType.SHUFFLE,
    "MaxPool": LayerType.POOLING,
    "AveragePool": LayerType.POOLING,
    "GlobalAveragePool": LayerType.POOLING,
    "ReduceMean": LayerType.REDUCE,
    "Identity": LayerType.IDENTITY,
}


class ITensor:
    """A named tensor of the network; dynamic extents of `shape` are -1."""

    def __init__(self, name, dtype, shape, is_network_input=False, is_network_output=False):
        """Describe a tensor."""
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.is_network_input = is_network_input
        self.is_network_output = is_network_output
        self.is_shape_tensor = False
        if MAJOR < 11:
            self.dynamic_range = None


class _Layer:
    """One node of the graph."""

    def __init__(self, name, op_type, inputs, outputs):
        """Describe a node."""
        self.name = name
        self.type = _LAYER_TYPES.get(op_type, LayerType.PLUGIN_V2)
        self._inputs = inputs
        self._outputs = outputs

    @property
    def num_inputs(self):
        """How many inputs the node has."""
        return len(self._inputs)

    @property
    def num_outputs(self):
        """How many outputs the node has."""
        return len(self._outputs)

    def get_input(self, index):
        """Return one input as an :class:`ITensor`."""
        return self._inputs[index]

    def get_output(self, index):
        """Return one output as an :class:`ITensor`."""
        return self._outputs[index]


class _PrecisionLayer(_Layer):
    """One node of the graph; setting `precision` asks to compute it so."""

    def __init__(self, *description):
        """Describe a node."""
        super().__init__(*description)
        self._precision = None

    @property
    def precision(self):
        """The precision asked for, else the type of the first output."""
        if self._precision is not None:
            return self._precision
        return self._outputs[0].dtype if self._outputs else DataType.FLOAT

    @precision.setter
    def precision(self, precision):
        self._precision = precision

    @property
    def precision_is_set(self):
        """Whether a precision was asked for."""
        return self._precision is not None

    def reset_precision(self):
        """Forget the precision asked for."""
        self._precision = None


ILayer = _PrecisionLayer if MAJOR < 11 else _Layer


class INetworkDefinition:
    """A network; empty until an :class:`OnnxParser` fills it."""

    def __init__(self, flags=0):
        """Begin empty."""
        self.flags = flags
        self.name = ""
        self.model = None
        self._inputs = []
        self._outputs = []
        self._layers = []

    def fill(self, model):
        """Take over a checked ONNX model (this stand-in only); every node gets a name."""
        names = {node.name for node in model.graph.node if node.name}
        for number, node in enumerate(model.graph.node):
            if not node.name:
                node.name = f"{node.op_type}_{number}"
                while node.name in names:
                    node.name += "_"
                names.add(node.name)
        self.model = model
        self.name = model.graph.name
        known = {initializer.name for initializer in model.graph.initializer}
        self._inputs = [_tensor(value, is_network_input=True) for value in model.graph.input if value.name not in known]
        self._outputs = [_tensor(value, is_network_output=True) for value in model.graph.output]
        tensors = {tensor.name: tensor for tensor in self._inputs + self._outputs}
        for value in _inferred(model):
            tensors.setdefault(value.name, _tensor(value))
        for initializer in model.graph.initializer:
            tensors[initializer.name] = ITensor(
                initializer.name,
                _DATA_TYPES.get(initializer.data_type, DataType.FLOAT),
                tuple(initializer.dims),
            )
        for node in model.graph.node:
            if node.op_type == "Constant":
                tensors.setdefault(node.output[0], _constant(node))
        self._layers = [
            ILayer(
                node.name,
                node.op_type,
                [tensors.get(name) or ITensor(name, DataType.FLOAT, ()) for name in node.input if name],
                [tensors.get(name) or ITensor(name, DataType.FLOAT, ()) for name in node.output if name],
            )
            for node in model.graph.node
        ]

    @property
    def num_inputs(self):
        """How many inputs the network has."""
        return len(self._inputs)

    @property
    def num_outputs(self):
        """How many outputs the network has."""
        return len(self._outputs)

    @property
    def num_layers(self):
        """How many layers the network has."""
        return len(self._layers)

    def get_input(self, index):
        """Return one input as an :class:`ITensor`."""
        return self._inputs[index]

    def get_output(self, index):
        """Return one output as an :class:`ITensor`."""
        return self._outputs[index]

    def get_layer(self, index):
        """Return one :class:`ILayer`."""
        return self._layers[index]

    def get_flag(self, flag):
        """Return whether a :class:`NetworkDefinitionCreationFlag` was given."""
        return bool(self.flags >> int(flag) & 1)

    def __len__(self):
        """Return the number of layers."""
        return len(self._layers)

    def __getitem__(self, index):
        """Return one layer; this also makes the network iterable."""
        return self._layers[index]


class ParserError:
    """Why a file could not be parsed."""

    def __init__(self, text):
        """Keep the reason."""
        self._text = text

    def desc(self):
        """Return the reason."""
        return self._text

    def __str__(self):
        """Return the reason."""
        return self._text


class OnnxParser:
    """Reads ONNX into a network."""

    def __init__(self, network, logger):
        """Prepare to fill `network`."""
        self._network = network
        self._logger = logger
        self._errors = []

    def parse(self, model, path=None):
        """Read a serialized ONNX model.

        Args:
            model (bytes): The model.
            path (str): Where it came from, for tensors stored beside it.

        Returns:
            bool: False when it cannot be used; :meth:`get_error` says why.
        """
        try:
            proto = onnx.load_model_from_string(bytes(model))
            if path:
                onnx.load_external_data_for_model(proto, os.path.dirname(path))
        except Exception as error:  # protobuf's errors have no common base class
            return self._fail(f"This is no readable ONNX model: {error}")
        return self._take(proto)

    def parse_from_file(self, path):
        """Read an ONNX file.

        Returns:
            bool: False when it cannot be used; :meth:`get_error` says why.
        """
        try:
            proto = onnx.load(path)
        except Exception as error:  # protobuf's errors have no common base class
            return self._fail(f"{path} is no readable ONNX model: {error}")
        return self._take(proto)

    def _take(self, proto):
        import onnxruntime  # half a second, only needed to build

        try:
            onnx.checker.check_model(proto)
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.log_severity_level = 4
            onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common base class
            return self._fail(f"ONNX Runtime, on which the TensorRT stand-in runs, cannot run this model: {error}")
        if _rtx.rtx:
            try:
                _rtx.parse(proto.SerializeToString(), self._logger)
            except _rtx.RefusalError as error:
                return self._fail(str(error))
        self._network.fill(proto)
        return True

    def _fail(self, text):
        self._errors.append(ParserError(text))
        self._logger.log(self._logger.Severity.ERROR, text)
        return False

    @property
    def num_errors(self):
        """How many errors there were."""
        return len(self._errors)

    def get_error(self, index):
        """Return one :class:`ParserError`."""
        return self._errors[index]

    def clear_errors(self):
        """Forget all errors."""
        self._errors.clear()


def data_type(elem_type):
    """Return the :class:`DataType` of an ONNX element type; FLOAT for those TensorRT lacks."""
    return _DATA_TYPES.get(elem_type, DataType.FLOAT)


def _tensor(value, **role):
    """Return the :class:`ITensor` of an ONNX value_info."""
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return ITensor(value.name, data_type(kind.elem_type), shape, **role)


def _constant(node):
    """Return the :class:`ITensor` of a Constant node's output."""
    for attribute in node.attribute:
        if attribute.name == "value":
            array = numpy_helper.to_array(attribute.t)
            return ITensor(node.output[0], data_type(attribute.t.data_type), array.shape)
    return ITensor(node.output[0], DataType.FLOAT, ())


def _inferred(model):
    """Return value_infos of all tensors whose type ONNX can infer."""
    try:
        return list(shape_inference.infer_shapes(model).graph.value_info)
    except Exception:  # a model that runs may still defeat shape inference; types are then taken as FLOAT
        return list(model.graph.value_info)
