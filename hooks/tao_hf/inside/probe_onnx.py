"""Does the architecture survive ONNX? Random weights, few layers, both exporters, compared with ONNX Runtime."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from probe_common import clean, first_line

_DEPTH_LISTS = ("depths", "layers_per_stage", "num_blocks")
_DEPTHS = ("num_hidden_layers", "num_layers")
_NESTED = ("vision_config", "backbone_config")
_KEPT_LAYERS = 2
_CLASSES = 8
_MAX_PARAMETERS = 500_000_000
_MAX_PATCHES = 20_000
_NOISE = 0.02
_LEAST_VARIANCE = 1e-2
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_ATTEMPTS = (("torchscript", 17), ("dynamo", 18))
_OPERATORS = (
    r"operator '([\w:]+)'",
    r"OpOverload\(op='([\w.]+)'",
    r"[Nn]o ONNX function found for .*?([\w]+[.:]+[\w.]+)",
    r"Unsupported: ONNX export of operator ([\w]+)",
    r"No Op registered for (\w+)",
    r"(\w+)\(\d+\) node",
)


def not_checked(why: str) -> dict[str, Any]:
    """Return the `onnx` entry of a model whose export was not tried."""
    return {"ok": False, "exporter": None, "opset": None, "failing_op": None, "error": clean(why), "max_abs_diff": None}


def check(cls: Any, config: Any, size: list[int], channels: int, patch: int | None) -> dict[str, Any]:
    """Export a small twin of the model and compare it with ONNX Runtime on a batch of another size.

    Args:
        cls: the transformers class; its first output must be the logits.
        config: its configuration; not changed.
        size: [height, width] of the input.
        channels: channels of the input.
        patch: side of a patch, to tell beforehand when attention would not fit in memory.

    Returns:
        The `onnx` entry of the findings: the first exporter that works, or the last error.
    """
    import torch

    if patch and size[0] * size[1] / patch**2 > _MAX_PATCHES:
        return not_checked(f"not tried: {size[0]}x{size[1]} pixels in patches of {patch} would need too much memory")
    torch.manual_seed(0)
    try:
        model = _twin(cls, config)
    except Exception as error:
        return not_checked(f"the model cannot be built: {first_line(error)}")
    if model is None:
        return not_checked("not tried: the architecture is too large for this machine's memory")
    example = torch.randn(1, channels, *size)
    probe = torch.randn(2, channels, *size)
    try:
        with torch.no_grad():
            enliven(model, probe)
            expected = model(probe).numpy()
    except Exception as error:
        return not_checked(f"the model does not run on {size[0]}x{size[1]} pixels: {first_line(error)}")
    return try_exporters(model, example, probe, expected)


def try_exporters(model: Any, example: Any, probe: Any, expected: Any) -> dict[str, Any]:
    """Export a module with one exporter after the other until ONNX Runtime agrees with it.

    Args:
        model: maps images to logits.
        example: images (1, C, H, W) to trace with.
        probe: two images to compare on.
        expected: the logits of `probe`.

    Returns:
        The `onnx` entry of the findings.
    """
    result = not_checked("not tried")
    for exporter, opset in _ATTEMPTS:
        try:
            with _silence():
                difference = _agreement(model, exporter, opset, example, probe, expected)
            return {
                "ok": True,
                "exporter": exporter,
                "opset": opset,
                "failing_op": None,
                "error": None,
                "max_abs_diff": difference,
            }
        except Exception as error:
            result = not_checked(f"{exporter} (opset {opset}): {first_line(error)}")
            result.update(exporter=exporter, opset=opset, failing_op=_operator(error))
            gc.collect()
    return result


def _twin(cls: Any, config: Any) -> Any:
    """Return the model with at most two layers a stage and few classes; whole when that cannot be built."""
    import torch

    small = shortened(config)
    whole = copy.deepcopy(config)
    whole.num_labels = _CLASSES
    problem: Exception | None = None
    for candidate in (small, whole):
        try:
            with torch.device("meta"):
                count = sum(parameter.numel() for parameter in cls(candidate).parameters())
            if count > _MAX_PARAMETERS:
                return None
            return _Logits(cls(candidate).eval())
        except Exception as error:
            problem = error
    raise problem


def shortened(config: Any) -> Any:
    """Return a copy of a transformers configuration with at most two layers a stage and few classes."""
    small = copy.deepcopy(config)
    small.num_labels = _CLASSES
    for holder in [small, *[getattr(small, name, None) for name in _NESTED]]:
        if holder is not None:
            _shorten(holder)
    return small


def enliven(model: Any, batch: Any) -> None:
    """Give fresh weights an effect: without it zeros, layer scales and batch statistics hide most of the network."""
    import torch

    for name, parameter in model.named_parameters():
        if not parameter.numel():
            continue
        noise = torch.randn_like(parameter)
        if name.endswith("bias"):
            parameter.add_(noise, alpha=_NOISE)
        elif parameter.numel() == max(parameter.shape, default=1):  # a scale: of a norm, of a whole layer
            parameter.copy_(1 + 0.2 * noise)
        else:  # as large as what goes through it stays, whatever the architecture starts with
            parameter.add_(noise, alpha=parameter[0].numel() ** -0.5)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        model(batch)
    for norm in norms:
        norm.running_var.clamp_(min=_LEAST_VARIANCE)  # two alike pictures must not make it amplify rounding
        norm.eval()


def _shorten(holder: Any) -> None:
    for name in _DEPTH_LISTS:
        value = getattr(holder, name, None)
        if isinstance(value, (list, tuple)) and value:
            setattr(holder, name, type(value)(min(int(depth), _KEPT_LAYERS) for depth in value))
    if isinstance(getattr(holder, "depths", None), (list, tuple)):
        return
    for name in _DEPTHS:
        value = getattr(holder, name, None)
        if isinstance(value, int) and value > _KEPT_LAYERS:
            setattr(holder, name, _KEPT_LAYERS)


def _Logits(model: Any) -> Any:  # noqa: N802 - makes an instance of a class that needs torch to be defined
    import torch

    class Logits(torch.nn.Module):
        """Pictures in, logits out."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x):
            """Return the logits of pictures (N, C, H, W): the first output, whatever the architecture calls it."""
            return self.model(pixel_values=x, return_dict=True)[0]

    return Logits().eval()


def _agreement(model: Any, exporter: str, opset: int, example: Any, probe: Any, expected: Any) -> float:
    """Export, check, run on `probe`; return the largest absolute difference from `expected`.

    Raises:
        Exception: anything the exporter, the checker or ONNX Runtime raise, and RuntimeError on disagreement.
    """
    import numpy
    import onnx
    import onnxruntime
    import torch

    with tempfile.TemporaryDirectory(prefix="tao-hf-onnx-") as folder:
        file = os.path.join(folder, "model.onnx")
        common = {"input_names": ["input"], "output_names": ["output"], "opset_version": opset}
        with torch.no_grad():
            if exporter == "torchscript":
                torch.onnx.export(
                    model,
                    (example,),
                    file,
                    dynamo=False,
                    dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
                    **common,
                )
            else:
                torch.onnx.export(
                    model,
                    (probe,),
                    file,
                    dynamo=True,
                    verbose=False,
                    dynamic_shapes=({0: torch.export.Dim("batch")},),
                    **common,
                )
        onnx.checker.check_model(file)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        for batch in (probe, probe[:1]):
            got = session.run(None, {"input": batch.numpy()})[0]
            wanted = expected[: len(batch)]
            if got.shape != wanted.shape:
                raise RuntimeError(f"the exported model gives {list(got.shape)} instead of {list(wanted.shape)}")
            difference = float(numpy.abs(got - wanted).max())
            if not difference <= _ABSOLUTE + _RELATIVE * float(numpy.abs(wanted).max()):
                raise RuntimeError(f"ONNX Runtime differs from PyTorch by {difference:.3g}")
    return difference


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send what the exporters print, also from C++, nowhere: a failing one prints its whole graph."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with open(os.devnull, "wb") as nowhere:
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
            os.close(original)


def _operator(error: BaseException) -> str | None:
    text = str(error)
    for pattern in _OPERATORS:
        match = re.search(pattern, text)
        if match:
            return clean(match[1], 80)
    return None
