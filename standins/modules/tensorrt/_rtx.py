# SPDX-License-Identifier: Apache-2.0

"""TensorRT-RTX, NVIDIA's parser and builder from PyPI, which need no GPU; None where there is no wheel for it."""

import contextlib

try:
    import tensorrt_rtx_bindings as rtx
except Exception:  # not installed, or its library does not load here
    rtx = None

NAME = f"TensorRT-RTX {rtx.__version__}" if rtx else None


class RefusalError(RuntimeError):
    """TensorRT-RTX does not take a network."""


def parse(model_bytes, logger):
    """Check that TensorRT-RTX can parse an ONNX model.

    Args:
        model_bytes (bytes): The serialized model, with all its tensors.
        logger (ILogger): Gets its messages.

    Raises:
        RefusalError: When it cannot.
    """
    with _logging_to(logger):
        _parsed(model_bytes)


def build(model_bytes, profiles, logger):
    """Build an engine.

    Args:
        model_bytes (bytes): The serialized model, with all its tensors, in the precision that it is to run in.
        profiles (list): For each profile, {input name: [smallest, usual, largest shape]}.
        logger (ILogger): Gets its messages.

    Returns:
        tuple: The engine's bytes and its number of layers.

    Raises:
        RefusalError: When it cannot be parsed or built.
    """
    with _logging_to(logger) as forwarding:
        builder, network = _parsed(model_bytes)
        config = builder.create_builder_config()
        for shapes in profiles:
            profile = builder.create_optimization_profile()
            for name, (low, usual, high) in shapes.items():
                profile.set_shape(name, tuple(low), tuple(usual), tuple(high))
            config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise RefusalError(f"{NAME} cannot build this network: {forwarding.last_error or 'it gives no reason'}")
        return bytes(engine), network.num_layers


def _parsed(model_bytes):
    """Return a builder and the network that it is to build."""
    builder = rtx.Builder(_FORWARDING)
    network = builder.create_network(0)
    parser = rtx.OnnxParser(network, _FORWARDING)
    if not parser.parse(model_bytes):
        raise RefusalError(_reason(parser))
    return builder, network


def _reason(parser):
    """Return the first reason that a parser gives, in one sentence."""
    if not parser.num_errors:
        return f"{NAME} cannot parse this network"
    error = parser.get_error(0)
    node = f"{error.node_operator()} ({error.node_name()})"
    if error.desc() == "false":  # the condition that failed, where the parser knows nothing of an operator
        return f"{NAME} has no operator {node}"
    return f"{NAME} refuses the operator {node}: {error.desc()}"


if rtx:

    class _Forwarding(rtx.ILogger):
        """The one logger that TensorRT-RTX takes in a process: it hands messages to that of the current call."""

        def __init__(self):
            """Begin with nobody to hand messages to."""
            rtx.ILogger.__init__(self)
            self.target = None
            self.last_error = ""

        def log(self, severity, msg):
            """Hand on a message, its severity as the stand-in's number for it."""
            grave = int(severity) <= int(rtx.ILogger.ERROR)
            if grave:
                self.last_error = msg
            if self.target is not None:
                self.target.log(type(self.target).Severity(int(severity)), f"[TensorRT-RTX] {msg}")

    _FORWARDING = _Forwarding()


@contextlib.contextmanager
def _logging_to(logger):
    """Hand the messages of TensorRT-RTX to a logger."""
    _FORWARDING.target, _FORWARDING.last_error = logger, ""
    try:
        yield _FORWARDING
    finally:
        _FORWARDING.target = None
