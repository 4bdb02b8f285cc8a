# SPDX-License-Identifier: Apache-2.0

"""Converting an ONNX graph to FP16 or, with a calibrator, to INT8."""

import copy
import os
import struct
import tempfile
import warnings

import numpy as np

from tensorrt._enums import CalibrationAlgoType, nptype
from tensorrt._network import data_type
from tensorrt._version import __version__

# Layers with weights carry nearly all of the arithmetic. Products of two activations (attention scores) stay
# float: quantizing them costs accuracy, and TensorRT too may leave any layer in a higher precision.
_QUANTIZED_OPS = ("Conv", "Gemm", "MatMul")


def is_quantized(model):
    """Return whether an ONNX model brings its own QuantizeLinear nodes."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def to_fp16(model, keep_float):
    """Return a copy of `model` that computes in half precision; inputs and outputs keep their types.

    Args:
        model (onnx.ModelProto): The graph.
        keep_float (set of str): Names of nodes that stay in single precision.
    """
    from onnxruntime.transformers import float16  # only to build

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning per weight that half precision rounds to zero
        return float16.convert_float_to_float16(
            copy.deepcopy(model), keep_io_types=True, node_block_list=sorted(keep_float)
        )


def to_int8(model, calibrator, shapes, exclude, logger):
    """Return a copy of `model` whose layers with weights are quantized to symmetric 8-bit integers.

    Args:
        model (onnx.ModelProto): The graph.
        calibrator (IInt8Calibrator): Supplies batches, or the cache of an earlier calibration.
        shapes (dict): Input name to the shape of its calibration batches.
        exclude (set of str): Names of nodes that stay in float.
        logger (ILogger): Gets messages.

    Raises:
        RuntimeError: Without a calibrator, without batches, or when the cache belongs to another model.
    """
    from onnxruntime.quantization import QuantType  # only to build
    from onnxruntime.quantization.calibrate import (
        CalibrationMethod,
        TensorData,
        TensorsData,
    )
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    weights = {initializer.name for initializer in model.graph.initializer}
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in _QUANTIZED_OPS and node.name not in exclude and node.input[1] in weights
    ]
    if not nodes:
        logger.log(logger.Severity.WARNING, "No layer of this model can be quantized; it stays in single precision.")
        return model
    wanted = sorted({node.input[0] for node in nodes})  # outputs stay in float, as TensorRT may choose to keep them
    if calibrator is None:
        raise RuntimeError(
            "INT8 needs a calibrator: set config.int8_calibrator, or use a model that is quantized already."
        )
    cache = calibrator.read_calibration_cache()
    if cache:
        largest = _read_cache(bytes(cache))
        missing = [name for name in wanted if name not in largest]
        if missing:
            raise RuntimeError(
                f"The calibration cache has no scale for tensor '{missing[0]}': it belongs to another model. "
                "Delete the cache file to calibrate anew."
            )
        logger.log(logger.Severity.INFO, "Used the calibration cache.")
    else:
        cache = _write_cache(_calibrate(model, calibrator, shapes, wanted))
        calibrator.write_calibration_cache(cache)
        largest = _read_cache(cache)  # rounded as in the file, so that the cache gives the same engine again
    ranges = {name: TensorData(lowest=np.float32(-largest[name]), highest=np.float32(largest[name])) for name in wanted}
    quantizer = QDQQuantizer(
        copy.deepcopy(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=list(_QUANTIZED_OPS),
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "OpTypesToExcludeOutputQuantization": list(_QUANTIZED_OPS),
            "QuantizeBias": False,  # TensorRT takes no 32-bit integers for one
        },
    )
    quantizer.quantize_model()
    return quantizer.model.model


def _calibrate(model, calibrator, shapes, wanted):
    """Return {tensor name: largest magnitude to represent}, found by running the calibrator's batches."""
    import onnx  # only to build
    import onnxruntime

    watched = copy.deepcopy(model)
    present = {value.name for value in watched.graph.output}
    for name in wanted:
        if name not in present:
            watched.graph.output.append(onnx.ValueInfoProto(name=name))
    with tempfile.TemporaryDirectory(prefix="tao-hf-calibration-") as folder:
        path = os.path.join(folder, "watched.onnx")
        onnx.save(watched, path, save_as_external_data=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    dtypes = {value.name: nptype(data_type(value.type.tensor_type.elem_type)) for value in model.graph.input}
    histograms = {name: _Histogram() for name in wanted}
    batches = 0
    while True:
        addresses = calibrator.get_batch(names)
        if not addresses:
            break
        feeds = {
            name: _read(address, shapes[name], dtypes[name]) for name, address in zip(names, addresses, strict=True)
        }
        for name, value in zip(wanted, session.run(wanted, feeds), strict=True):
            histograms[name].add(np.abs(value))
        batches += 1
    if not batches:
        raise RuntimeError("The calibrator gave no batch: are there calibration images?")
    clip = calibrator.get_algorithm() != CalibrationAlgoType.MINMAX_CALIBRATION
    return {name: histogram.largest(clip) for name, histogram in histograms.items()}


def _read(address, shape, dtype):
    """Return a copy of the calibration batch at a device address."""
    from tensorrt._runtime import device_array  # needs pycuda

    return device_array(address, shape, dtype).copy()


class _Histogram:
    """Magnitudes of one tensor over all batches, in bins that get twice as wide when a larger one comes."""

    BINS = 2048

    def __init__(self):
        """Begin empty."""
        self.counts = np.zeros(self.BINS, dtype=np.int64)
        self.limit = 0.0

    def add(self, magnitudes):
        """Count an array of magnitudes."""
        top = float(magnitudes.max(initial=0.0))
        if not np.isfinite(top):
            raise RuntimeError("Calibration met values that are not finite; check the model and the images.")
        if self.limit == 0.0:
            self.limit = top
        while self.limit and top > self.limit:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(self.BINS // 2, np.int64)])
            self.limit *= 2
        if self.limit:
            self.counts += np.histogram(magnitudes, bins=self.BINS, range=(0.0, self.limit))[0]

    def largest(self, clip):
        """Return the magnitude that the largest 8-bit integer will stand for (never 0).

        Args:
            clip (bool): Choose what makes the mean square of all errors, by rounding and by clipping, smallest; else
                the largest magnitude met. TensorRT's entropy calibration clips too, by a criterion of its own.
        """
        filled = np.flatnonzero(self.counts)
        if filled.size == 0 or self.limit == 0.0:
            return 1.0
        width = self.limit / self.BINS
        top = (int(filled[-1]) + 1) * width
        if not clip:
            return top
        magnitudes = (filled + 0.5) * width
        candidates = np.linspace(top / 20, top, 96)
        return float(min(candidates, key=lambda candidate: self._error(magnitudes, self.counts[filled], candidate)))

    def _error(self, magnitudes, counts, largest):
        """Return the sum of squared errors when 127 steps reach up to `largest`."""
        step = largest / 127
        represented = np.minimum(np.round(magnitudes / step), 127) * step
        return float((counts * np.square(magnitudes - represented)).sum())


def _write_cache(largest):
    """Return a calibration cache in TensorRT's form: a title, then lines of "name: float32 scale as hex"."""
    lines = [f"TRT-{__version__.replace('.', '')}-EntropyCalibration2"]
    lines += [f"{name}: {struct.pack('>f', value / 127).hex()}" for name, value in sorted(largest.items())]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _read_cache(cache):
    """Return {tensor name: largest magnitude} of a calibration cache.

    Raises:
        RuntimeError: When the bytes are no calibration cache.
    """
    try:
        title, *lines = cache.decode("utf-8").splitlines()
        if not title.startswith("TRT-"):
            raise ValueError(title)
        pairs = [line.rsplit(": ", 1) for line in lines if line]
        return {name: struct.unpack(">f", bytes.fromhex(value.zfill(8)))[0] * 127 for name, value in pairs}
    except (ValueError, struct.error) as error:
        raise RuntimeError("This is no TensorRT calibration cache; delete the file to calibrate anew.") from error
