# SPDX-License-Identifier: Apache-2.0

"""Building an engine: the ONNX graph in the asked precision, built by TensorRT-RTX where that is installed."""

import onnx

from tensorrt import _precision, _rtx
from tensorrt._config import IBuilderConfig, IOptimizationProfile
from tensorrt._engine_file import EXECUTOR, write_engine
from tensorrt._enums import BuilderFlag, DataType
from tensorrt._network import INetworkDefinition
from tensorrt._rounding import rounded
from tensorrt._version import MAJOR

_UNSUPPORTED = ("BF16", "FP8", "INT4")
_TOLD = (
    f"TensorRT is not installed: {_rtx.NAME} parses and builds, ONNX Runtime executes, on the CPU."
    if _rtx.NAME
    else "TensorRT is not installed, nor TensorRT-RTX, for which there is no wheel here: NOTHING SAYS WHETHER TENSORRT "
    "TAKES THIS NETWORK; ONNX Runtime executes it, on the CPU."
)


class _TypedBuilder:
    """Makes networks, configurations and engines, whose precisions stand in the network."""

    def __init__(self, logger):
        """Say on the log that this is the stand-in."""
        self.logger = logger
        logger.log(logger.Severity.WARNING, _TOLD)

    def create_network(self, flags=0):
        """Return an empty :class:`INetworkDefinition`."""
        return INetworkDefinition(flags)

    def create_builder_config(self):
        """Return a fresh :class:`IBuilderConfig`."""
        return IBuilderConfig()

    def create_optimization_profile(self):
        """Return a fresh :class:`IOptimizationProfile`."""
        return IOptimizationProfile()

    def is_network_supported(self, network, config):
        """Return whether the network was parsed."""
        return network.model is not None

    def build_serialized_network(self, network, config):
        """Build an engine.

        Returns:
            IHostMemory: The engine file's bytes.

        Raises:
            RuntimeError: When the network is empty, a profile is missing, the precision is not available, or
                TensorRT-RTX cannot build it.
        """
        if network.model is None:
            raise RuntimeError("The network is empty: parse an ONNX file into it first.")
        profiles = self._profiles(network, config)
        precision, model = self._in_precision(network, config, profiles)
        graph = model.SerializeToString()
        layers = len(network)
        if _rtx.rtx:
            _, layers = _rtx.build(graph, profiles, self.logger)
        self.logger.log(self.logger.Severity.INFO, f"Built a {precision} engine of {layers} layers.")
        made = {"builder": _rtx.NAME, "executor": EXECUTOR}
        if precision == "fp16":
            graph = rounded(model).SerializeToString()
        return write_engine(graph, {"precision": precision, "profiles": profiles, **made})

    def _in_precision(self, network, config, profiles):
        """Return the precision that a network is in, and its graph."""
        if _precision.is_quantized(network.model):
            return "int8", network.model
        halves = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in network.model.graph.initializer)
        return ("fp16" if halves else "fp32"), network.model

    @staticmethod
    def _profiles(network, config):
        """Return the profiles as a list of {input name: [min, opt, max]}; static inputs need none."""
        added = config._profiles or [IOptimizationProfile()]
        profiles = []
        for profile in added:
            shapes = {}
            for index in range(network.num_inputs):
                tensor = network.get_input(index)
                given = profile.get_shape(tensor.name)
                if not given:
                    if -1 in tensor.shape:
                        raise RuntimeError(f"Input '{tensor.name}' has dynamic shape {tensor.shape} but no profile.")
                    given = [tensor.shape] * 3
                for shape in given:
                    if not _fits(shape, tensor.shape):
                        raise RuntimeError(f"The profile's {shape} does not fit input '{tensor.name}' {tensor.shape}.")
                shapes[tensor.name] = [list(shape) for shape in given]
            profiles.append(shapes)
        return profiles


class _FlaggedBuilder(_TypedBuilder):
    """Makes networks, configurations and engines, whose precisions are asked for by flags and calibrators."""

    platform_has_tf32 = False
    platform_has_fast_fp16 = True
    platform_has_fast_int8 = True

    def _in_precision(self, network, config, profiles):
        """Return the precision that is asked for, and the graph in it.

        FP32 keeps the graph; FP16 converts it, inputs and outputs staying as they are; INT8 calibrates and
        quantizes the layers that have weights. Layers whose precision was set keep it.
        """
        for name in _UNSUPPORTED:
            if config.get_flag(BuilderFlag[name]):
                raise RuntimeError(f"The TensorRT stand-in builds FP32, FP16 and INT8 engines, not {name}.")
        keep_float = {layer.name for layer in network if layer.precision_is_set and layer.precision == DataType.FLOAT}
        if config.get_flag(BuilderFlag.INT8) and not _precision.is_quantized(network.model):
            not_int8 = {layer.name for layer in network if layer.precision_is_set and layer.precision != DataType.INT8}
            shapes = {name: _calibration_shape(config, name, profiles[0][name]) for name in profiles[0]}
            return "int8", _precision.to_int8(network.model, config.int8_calibrator, shapes, not_int8, self.logger)
        if config.get_flag(BuilderFlag.FP16):
            return "fp16", _precision.to_fp16(network.model, keep_float)
        return ("int8" if config.get_flag(BuilderFlag.INT8) else "fp32"), network.model


Builder = _FlaggedBuilder if MAJOR < 11 else _TypedBuilder


def _calibration_shape(config, name, profile_shapes):
    """Return an input's shape during calibration: the profile's usual one, the calibrator's batch size."""
    profile = config.get_calibration_profile()
    shapes = (profile and profile.get_shape(name)) or profile_shapes
    usual = [int(extent) for extent in shapes[1]]
    if config.int8_calibrator is not None:
        usual[0] = int(config.int8_calibrator.get_batch_size())
    return tuple(usual)


def _fits(shape, built):
    """Return whether a shape is the built one, where -1 there stands for anything."""
    return len(shape) == len(built) and all(b in (-1, s) for s, b in zip(shape, built, strict=True))
