# SPDX-License-Identifier: Apache-2.0

"""Running an engine: reading the file, choosing shapes within its profiles, executing on device addresses."""

import numpy as np
import onnxruntime

from tensorrt._engine_file import EXECUTOR, read_engine
from tensorrt._enums import DataType, TensorIOMode, TensorLocation, nptype, volume

_ORT_TYPES = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(int8)": DataType.INT8,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(uint8)": DataType.UINT8,
    "tensor(bool)": DataType.BOOL,
}


def device_array(address, shape, dtype):
    """Return the tensor at a device address as a NumPy array that shares its memory.

    Args:
        address (int): What ``int(pycuda.driver.mem_alloc(...))`` gave.
        shape (tuple of int): The tensor's shape.
        dtype: Its NumPy type.

    Raises:
        RuntimeError: With the real pycuda, whose memory ONNX Runtime on the CPU cannot reach.
    """
    import pycuda.driver as cuda  # engines can be read without it

    if not getattr(cuda, "IS_STAND_IN", False):
        raise RuntimeError("The TensorRT stand-in needs the pycuda stand-in, but the real pycuda is installed.")
    items = volume(shape)
    size = items * dtype().itemsize
    return cuda.host_view(address, size).view(dtype).reshape(shape)


class Runtime:
    """Reads engines."""

    def __init__(self, logger):
        """Say on the log that this is the stand-in."""
        self.logger = logger
        logger.log(logger.Severity.WARNING, f"TensorRT is not installed: {EXECUTOR} executes engines, on the CPU.")

    def deserialize_cuda_engine(self, serialized_engine):
        """Return the :class:`ICudaEngine` in these bytes.

        Raises:
            RuntimeError: When they are not an engine of this stand-in.
        """
        return ICudaEngine(*read_engine(serialized_engine), self.logger)


class ICudaEngine:
    """An engine; dynamic extents of its tensors' shapes are -1."""

    has_implicit_batch_dimension = False

    def __init__(self, model_bytes, description, logger):
        """Load the graph into ONNX Runtime."""
        self._logger = logger
        self._profiles = description["profiles"]
        self.precision = description["precision"]
        options = onnxruntime.SessionOptions()
        options.use_deterministic_compute = True  # the same engine gives the same bits, however busy the machine
        # INT8 is computed in floats rounded to it: the fused integer kernels overflow on processors without VNNI.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
        self._modes, self._dtypes, self._shapes = {}, {}, {}
        for mode, values in (
            (TensorIOMode.INPUT, self._session.get_inputs()),
            (TensorIOMode.OUTPUT, self._session.get_outputs()),
        ):
            for value in values:
                self._modes[value.name] = mode
                self._dtypes[value.name] = _ORT_TYPES[value.type]
                self._shapes[value.name] = tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
        self._names = list(self._modes)

    @property
    def num_io_tensors(self):
        """How many inputs and outputs there are together."""
        return len(self._names)

    @property
    def num_optimization_profiles(self):
        """How many profiles the engine was built with."""
        return len(self._profiles)

    def get_tensor_name(self, index):
        """Return the name of input or output number `index` (inputs first)."""
        return self._names[index]

    def get_tensor_mode(self, name):
        """Return the tensor's :class:`TensorIOMode`."""
        return self._modes[name]

    def get_tensor_dtype(self, name):
        """Return the tensor's :class:`DataType`."""
        return self._dtypes[name]

    def get_tensor_location(self, name):
        """Return where the tensor must lie: on the "device"."""
        return TensorLocation.DEVICE

    def get_tensor_shape(self, name):
        """Return the tensor's shape as built, with -1 for dynamic extents."""
        return self._shapes[name]

    def get_tensor_profile_shape(self, name, profile_index):
        """Return [min, opt, max] of an input in one profile."""
        return [tuple(shape) for shape in self._profiles[profile_index][name]]

    def create_execution_context(self):
        """Return a fresh :class:`IExecutionContext`."""
        return IExecutionContext(self)


class IExecutionContext:
    """Shapes and addresses for running an engine."""

    def __init__(self, engine):
        """Begin in profile 0 with the engine's static shapes and no address."""
        self.engine = engine
        self.active_optimization_profile = 0
        self._addresses = {}
        self._input_shapes = {name: engine.get_tensor_shape(name) for name in self._names(TensorIOMode.INPUT)}
        self._output_shapes = {}

    def _names(self, mode):
        return [name for name in self.engine._names if self.engine.get_tensor_mode(name) == mode]

    def set_optimization_profile_async(self, profile_index, stream_handle):
        """Choose a profile; return whether it exists."""
        if not 0 <= profile_index < self.engine.num_optimization_profiles:
            return False
        self.active_optimization_profile = profile_index
        return True

    def set_input_shape(self, name, shape):
        """Set an input's shape and return True.

        Raises:
            RuntimeError: When the shape lies outside the engine's profile.
        """
        shape = tuple(int(extent) for extent in shape)
        low, _, high = self.engine.get_tensor_profile_shape(name, self.active_optimization_profile)
        inside = len(shape) == len(low) and all(a <= extent <= b for a, extent, b in zip(low, shape, high, strict=True))
        if not inside:
            raise RuntimeError(
                f"Input '{name}' cannot be {shape}: the engine was built for shapes from {low} to {high}. "
                "Use a batch size within these bounds, or build the engine with others."
            )
        self._input_shapes[name] = shape
        self._output_shapes = {}
        return True

    @property
    def all_binding_shapes_specified(self):
        """Whether every input has a full shape."""
        return all(extent >= 0 for shape in self._input_shapes.values() for extent in shape)

    def infer_shapes(self):
        """Return the names of inputs whose shape is still unknown."""
        return [name for name, shape in self._input_shapes.items() if min(shape, default=0) < 0]

    def get_tensor_shape(self, name):
        """Return a tensor's shape for the inputs set; -1 where that is still unknown."""
        if name in self._input_shapes:
            return self._input_shapes[name]
        built = self.engine.get_tensor_shape(name)
        if -1 not in built or not self.all_binding_shapes_specified:
            return built
        if name not in self._output_shapes:
            self._run(
                {
                    tensor: np.zeros(shape, dtype=nptype(self.engine.get_tensor_dtype(tensor)))
                    for tensor, shape in self._input_shapes.items()
                }
            )
        return self._output_shapes[name]

    def _run(self, feeds):
        """Run the graph; return {output name: array}."""
        names = self._names(TensorIOMode.OUTPUT)
        results = dict(zip(names, self.engine._session.run(names, feeds), strict=True))
        self._output_shapes = {name: tuple(array.shape) for name, array in results.items()}
        return results

    def set_tensor_address(self, name, memory):
        """Set the device address of an input or output and return True."""
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name):
        """Return a tensor's device address, 0 when none was set."""
        return self._addresses.get(name, 0)

    def execute_async_v3(self, stream_handle):
        """Run the engine on the addresses set; finished when this returns True.

        Raises:
            RuntimeError: When a shape or an address is missing.
        """
        unknown = self.infer_shapes()
        if unknown:
            raise RuntimeError(f"Set the shape of input '{unknown[0]}' before running the engine.")
        missing = [name for name in self.engine._names if name not in self._addresses]
        if missing:
            raise RuntimeError(f"Set the address of tensor '{missing[0]}' before running the engine.")
        results = self._run({name: self._at(name, shape) for name, shape in self._input_shapes.items()})
        for name, array in results.items():
            self._at(name, array.shape)[...] = array
        return True

    def execute_v2(self, bindings):
        """Run the engine on a list of addresses, inputs first, and return True."""
        for name, address in zip(self.engine._names, bindings, strict=True):
            self.set_tensor_address(name, address)
        return self.execute_async_v3(0)

    def _at(self, name, shape):
        """Return the memory behind a tensor's address as an array."""
        return device_array(self._addresses[name], shape, nptype(self.engine.get_tensor_dtype(name)))
