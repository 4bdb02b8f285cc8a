# SPDX-License-Identifier: Apache-2.0

"""TensorRT's enumerations and the two helpers about types and shapes."""

import enum

import numpy as np

from tensorrt._version import MAJOR


class _Enum(enum.Enum):
    """An enumeration whose members convert with ``int()`` but are no integers, like TensorRT's."""

    def __int__(self):
        """Return the member's number."""
        return self.value

    def __index__(self):
        """Return the member's number."""
        return self.value

    def __str__(self):
        """Return ``Class.MEMBER``."""
        return f"{type(self).__name__}.{self.name}"


class DataType(_Enum):
    """Element types of tensors."""

    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9

    @property
    def itemsize(self):
        """Bytes per element; a fraction for types smaller than a byte."""
        return _ITEMSIZE[self]


_ITEMSIZE = {
    DataType.FLOAT: 4,
    DataType.HALF: 2,
    DataType.INT8: 1,
    DataType.INT32: 4,
    DataType.BOOL: 1,
    DataType.UINT8: 1,
    DataType.FP8: 1,
    DataType.BF16: 2,
    DataType.INT64: 8,
    DataType.INT4: 0.5,
}

_NUMPY = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
    DataType.INT64: np.int64,
}

_FLAGS = (
    "FP16 BF16 INT8 DEBUG GPU_FALLBACK REFIT DISABLE_TIMING_CACHE EDITABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS "
    "SAFETY_SCOPE OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS DIRECT_IO REJECT_EMPTY_ALGORITHMS "
    "VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME FP8 ERROR_ON_TIMING_CACHE_MISS DISABLE_COMPILATION_CACHE "
    "WEIGHTLESS STRIP_PLAN REFIT_IDENTICAL WEIGHT_STREAMING INT4 REFIT_INDIVIDUAL STRICT_NANS MONITOR_MEMORY"
).split()
_UP_TO_10 = (
    "FP16 BF16 INT8 FP8 INT4 OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS REJECT_EMPTY_ALGORITHMS WEIGHTLESS"
).split()
BuilderFlag = _Enum(
    "BuilderFlag", [(name, value) for value, name in enumerate(_FLAGS) if MAJOR < 11 or name not in _UP_TO_10]
)
MemoryPoolType = _Enum(
    "MemoryPoolType",
    "WORKSPACE DLA_MANAGED_SRAM DLA_LOCAL_DRAM DLA_GLOBAL_DRAM TACTIC_DRAM TACTIC_SHARED_MEMORY",
    start=0,
)
NetworkDefinitionCreationFlag = _Enum(
    "NetworkDefinitionCreationFlag",
    {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1} if MAJOR < 11 else {"STRONGLY_TYPED": 1},
)
QuantizationFlag = _Enum("QuantizationFlag", "CALIBRATE_BEFORE_FUSION", start=0)
PreviewFeature = _Enum("PreviewFeature", "PROFILE_SHARING_0806 ALIASED_PLUGIN_IO_10_03", start=0)
ProfilingVerbosity = _Enum("ProfilingVerbosity", "LAYER_NAMES_ONLY NONE DETAILED", start=0)
TensorIOMode = _Enum("TensorIOMode", "NONE INPUT OUTPUT", start=0)
TensorLocation = _Enum("TensorLocation", "DEVICE HOST", start=0)
CalibrationAlgoType = _Enum(
    "CalibrationAlgoType",
    "LEGACY_CALIBRATION ENTROPY_CALIBRATION ENTROPY_CALIBRATION_2 MINMAX_CALIBRATION",
    start=0,
)
LayerType = _Enum(
    "LayerType",
    "CONVOLUTION CAST ACTIVATION POOLING SCALE SOFTMAX CONCATENATION ELEMENTWISE UNARY SHUFFLE REDUCE TOPK "
    "GATHER MATRIX_MULTIPLY CONSTANT IDENTITY SLICE SHAPE RESIZE NORMALIZATION QUANTIZE DEQUANTIZE PLUGIN_V2",
    start=0,
)


def nptype(trt_type):
    """Return the NumPy type of a :class:`DataType`.

    Raises:
        TypeError: For types that NumPy lacks (BF16, FP8, INT4).
    """
    if trt_type not in _NUMPY:
        raise TypeError(f"NumPy has no type for {trt_type}.")
    return _NUMPY[trt_type]


def volume(iterable):
    """Return the number of elements of a shape; 1 for a scalar's empty shape."""
    total = 1
    for extent in iterable:
        total *= extent
    return total
