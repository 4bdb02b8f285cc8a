# SPDX-License-Identifier: Apache-2.0

"""Stand-in for TensorRT's Python API whose engines run on ONNX Runtime, for machines without TensorRT.

It has what TensorRT 10's users (tao-deploy) call to build, write, read and run an engine from an ONNX file,
under the same names. An engine file is a zip with the ONNX graph and JSON; it is no TensorRT engine, nor can
TensorRT engines be read. With ``TAO_HF_TENSORRT=11`` it lacks what TensorRT 11 lacks: flags and calibrators for
precisions, which then stand in the ONNX file.
``__version__`` is a 10.x or an 11.x that NVIDIA never released.
"""

from tensorrt._build import Builder
from tensorrt._config import IBuilderConfig, IOptimizationProfile, ITimingCache
from tensorrt._enums import (
    BuilderFlag,
    DataType,
    LayerType,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    PreviewFeature,
    ProfilingVerbosity,
    TensorIOMode,
    TensorLocation,
    nptype,
    volume,
)
from tensorrt._logger import ILogger, Logger, init_libnvinfer_plugins
from tensorrt._memory import IHostMemory
from tensorrt._network import ILayer, INetworkDefinition, ITensor, OnnxParser, ParserError
from tensorrt._runtime import ICudaEngine, IExecutionContext, Runtime
from tensorrt._version import MAJOR, __version__

if MAJOR < 11:
    from tensorrt._calibrator import (
        IInt8Calibrator,
        IInt8EntropyCalibrator,
        IInt8EntropyCalibrator2,
        IInt8LegacyCalibrator,
        IInt8MinMaxCalibrator,
    )
    from tensorrt._enums import CalibrationAlgoType, QuantizationFlag

IS_STAND_IN = True

float32 = DataType.FLOAT
float16 = DataType.HALF
bfloat16 = DataType.BF16
int8 = DataType.INT8
int32 = DataType.INT32
int64 = DataType.INT64
uint8 = DataType.UINT8
bool = DataType.BOOL  # TensorRT's name
fp8 = DataType.FP8
int4 = DataType.INT4

__all__ = [
    "IS_STAND_IN",
    "Builder",
    "BuilderFlag",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILayer",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "ITensor",
    "ITimingCache",
    "LayerType",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "PreviewFeature",
    "ProfilingVerbosity",
    "Runtime",
    "TensorIOMode",
    "TensorLocation",
    "__version__",
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "fp8",
    "init_libnvinfer_plugins",
    "int4",
    "int8",
    "int32",
    "int64",
    "nptype",
    "uint8",
    "volume",
]
if MAJOR < 11:
    __all__ += [
        "CalibrationAlgoType",
        "IInt8Calibrator",
        "IInt8EntropyCalibrator",
        "IInt8EntropyCalibrator2",
        "IInt8LegacyCalibrator",
        "IInt8MinMaxCalibrator",
        "QuantizationFlag",
    ]
