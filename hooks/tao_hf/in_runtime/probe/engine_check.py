"""Does TensorRT take the exported network? It is parsed and built by the TensorRT that is there."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tao_hf.in_runtime.probe.common import clean

_MODULES = (("tensorrt", "TensorRT"), ("tensorrt_rtx_bindings", "TensorRT-RTX"))
_BATCHES = (1, 8, 16)  # smallest, usual and largest of the profile
_NO_REASON = "false"  # the condition that failed, where the parser knows nothing of an operator
_MENDED = {
    "AveragePool": "the window holds too many pixels; adaptive_avg_pool2d(1) averages over all of the image",
    "BatchNormalization": "it must not be in training mode; where it standardizes weights, do that once, before",
    "Col2Im": "say fold() with reshape and permute where patches do not overlap",
    "ConvTranspose": "the number of channels must be known; export with fixed height and width",
}


class RefusalError(Exception):
    """TensorRT does not take the network.

    Attributes:
        operator: the ONNX operator that it stumbled over; None where it does not say.
    """

    def __init__(self, text: str, operator: str | None = None) -> None:
        """Keep what to tell, and the operator."""
        super().__init__(text)
        self.operator = operator


def profile(size: Sequence[int], channels: int, other: Sequence[int] | None = None) -> tuple[tuple[int, ...], ...]:
    """Return the smallest, usual and largest shape of the images, (N, C, H, W).

    Args:
        size: [height, width] in pixels.
        channels: channels of the images.
        other: a larger [height, width], where the network takes any size.
    """
    small, usual, large = _BATCHES
    return (small, channels, *size), (usual, channels, *size), (large, channels, *(other or size))


def build(file: str, shapes: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, Any]:
    """Parse an ONNX file and build its engine, which is thrown away.

    Args:
        file: path of the ONNX file; what it keeps outside lies beside it.
        shapes: by input, its smallest, usual and largest shape.

    Returns:
        ``builder`` (name and version; None where there is none that works without a GPU), ``layers``, ``seconds``.

    Raises:
        RefusalError: TensorRT does not take it.
    """
    trt, title = _there()
    if trt is None:
        return {"builder": None, "layers": None, "seconds": None}
    started = time.monotonic()
    messages: list[str] = []
    builder = trt.Builder(_logger(trt, messages))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, builder.logger)
    if not parser.parse_from_file(file):
        raise _refusal(parser, title)
    config = builder.create_builder_config()
    bounds = builder.create_optimization_profile()
    for name, (small, usual, large) in shapes.items():
        bounds.set_shape(name, small, usual, large)
    config.add_optimization_profile(bounds)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RefusalError(f"{title} cannot build it: {clean(messages[-1] if messages else 'it gives no reason')}")
    return {
        "builder": f"{title} {trt.__version__}",
        "layers": network.num_layers,
        "seconds": round(time.monotonic() - started, 2),
    }


def _there() -> tuple[Any, str]:
    """Return the module of a TensorRT that builds on this machine, and what it is called; (None, "") if there is none.

    TensorRT itself needs a GPU to make a builder, TensorRT-RTX does not.
    """
    for name, title in _MODULES:
        try:
            trt = importlib.import_module(name)
            if not getattr(trt, "IS_STAND_IN", False):
                trt.Builder(_logger(trt, []))
                return trt, title
        except Exception:  # noqa: S112 - not installed, or its libraries or the GPU are missing
            continue
    return None, ""


_loggers: dict[str, Any] = {}


def _logger(trt: Any, messages: list[str]) -> Any:
    """Return a logger that keeps the errors in `messages`; TensorRT takes only one in a process."""
    if trt.__name__ not in _loggers:

        class Kept(trt.ILogger):
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.messages: list[str] = messages

            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.ERROR:
                    self.messages.append(message)

        _loggers[trt.__name__] = Kept()
    _loggers[trt.__name__].messages = messages
    return _loggers[trt.__name__]


def _refusal(parser: Any, title: str) -> RefusalError:
    """Return the first reason that a parser gives."""
    if not parser.num_errors:
        return RefusalError(f"{title} cannot parse it")
    error = parser.get_error(0)
    operator = clean(error.node_operator() or "", 80)
    if not operator:
        return RefusalError(f"{title} cannot parse it: {clean(error.desc())}")
    reason = clean(error.desc())
    text = f"{title} has no operator {operator}" if reason == _NO_REASON else f"{title} refuses the operator {operator}"
    if operator in _MENDED:
        text += f" ({_MENDED[operator]})"
    return RefusalError(text if reason == _NO_REASON else f"{text}: {reason}", operator)
