"""Does the architecture survive ONNX? Random weights, few layers, both exporters, compared with ONNX Runtime, built."""

from __future__ import annotations

import contextlib
import copy
import gc
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from tao_hf.in_runtime.probe import engine_check, half_check, rewrites
from tao_hf.in_runtime.probe.common import clean, first_line, set_classes

_DEPTH_LISTS = ("depths", "layers_per_stage", "num_blocks")
_DEPTHS = ("num_hidden_layers", "num_layers", "encoder_layers", "decoder_layers")
_NESTED = ("vision_config", "backbone_config")
_KEPT_LAYERS = 2
_CLASSES = 8
_MAX_PARAMETERS = 500_000_000
_MAX_PATCHES = 20_000
# How many images batch norms are fitted to and FP16 is measured on, and the pixels that they have together at most.
_FITTED, _MEASURED, _PIXELS = 16, 256, 32 * 224 * 224
_BATCH = 4
_SMOOTH = 16  # pixels from one random number to the next in an image
_OTHER_SIZE = 64  # pixels to add for a size that the export was not traced with
_NOISE = 0.02
_LEAST_VARIANCE = 1e-2
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5  # what makes an exporter fail
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
    return {
        "ok": False,
        "exporter": None,
        "opset": None,
        "failing_op": None,
        "error": clean(why),
        "max_abs_diff": None,
        "difference": None,
        "approximate": None,
        "engine": None,
        "fp16": None,
    }


def check(
    cls: Any, config: Any, size: list[int], channels: int, patch: int | None, outputs: Any, names: Sequence[str]
) -> dict[str, Any]:
    """Export a small twin of the model, compare it with ONNX Runtime on a batch of another size, and build its engine.

    Args:
        cls: the transformers class.
        config: its configuration; not changed.
        size: [height, width] of the input.
        channels: channels of the input.
        patch: side of a patch, to tell beforehand when attention would not fit in memory.
        outputs: how the task reads and compares the outputs; see `task_code`.
        names: names of the exported tensors, in order.

    Returns:
        The `onnx` entry of the findings: the first exporter that works, or the last error.
    """
    import torch

    if patch and size[0] * size[1] / patch**2 > _MAX_PATCHES:
        return not_checked(f"not tried: {size[0]}x{size[1]} pixels in patches of {patch} would need too much memory")
    torch.manual_seed(0)
    whole = copy.deepcopy(config)
    set_classes(whole, _CLASSES)
    problem = ""
    for candidate in (shortened(config), whole, config):
        try:
            with torch.device("meta"):
                count = sum(parameter.numel() for parameter in cls(candidate).parameters())
            if count > _MAX_PARAMETERS:
                return not_checked("not tried: the architecture is too large for this machine's memory")
            model = TaskOutputs(cls(candidate).eval(), outputs)
        except Exception as error:
            problem = problem or f"the model cannot be built: {first_line(error)}"
            continue
        example = pictures(1, channels, *size)
        probe = pictures(2, channels, *size)
        try:
            with torch.no_grad():
                enliven(model, fitting_pictures(channels, size))
                model(probe)
            return try_exporters(model, example, probe, outputs, names)
        except Exception as error:
            problem = f"the model does not run on {size[0]}x{size[1]} pixels: {first_line(error)}"
    return not_checked(problem)


def try_exporters(model: Any, example: Any, probe: Any, outputs: Any, names: Sequence[str]) -> dict[str, Any]:
    """Export a module with one exporter after the other until ONNX Runtime agrees with it and TensorRT takes it.

    Where the task wants height and width dynamic, that is tried first with each exporter, and only then without.

    Args:
        model: maps images to the task's tensors.
        example: images (1, C, H, W) to trace with.
        probe: two images to compare on.
        outputs: how the task reads and compares the outputs; see `task_code`.
        names: names of the exported tensors, in order.

    Returns:
        The `onnx` entry of the findings.
    """
    import torch

    result = not_checked("not tried")
    with torch.no_grad():
        other_words = rewrites.called(lambda: model(example))
    sizes = (True, False) if outputs.DYNAMIC_SIZE else (False,)
    ways = itertools.product(sizes, _ATTEMPTS, ((), other_words) if other_words else ((),))
    for dynamic_size, (exporter, opset), rewritten in ways:
        try:
            with _silence(), rewrites.rewritten(rewritten):
                found = _tried(model, exporter, opset, example, probe, outputs, names, dynamic_size)
            return {
                "ok": True,
                "exporter": exporter,
                "opset": opset,
                "dynamic_size": dynamic_size,
                "rewrites": list(rewritten),
                "failing_op": None,
                "error": None,
                **found,
            }
        except Exception as error:
            reason = error.__cause__ or error  # torch.export says what happened in a second exception
            result = not_checked(f"{exporter} (opset {opset}): {first_line(reason)}")
            result.update(exporter=exporter, opset=opset, failing_op=_operator(error))
            gc.collect()
    return result


def shortened(config: Any) -> Any:
    """Return a copy of a transformers configuration with at most two layers a stage and few classes."""
    small = copy.deepcopy(config)
    set_classes(small, _CLASSES)
    for holder in [small, *[getattr(small, name, None) for name in _NESTED]]:
        if holder is not None:
            _shorten(holder)
    return small


def enliven(model: Any, batch: Any) -> None:
    """Give fresh weights an effect, and set eval(): zeros, layer scales and batch statistics hide most of a network."""
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
        norm.running_var.clamp_(min=_LEAST_VARIANCE)  # alike pictures must not make it amplify rounding
    model.eval()  # after all changes: some architectures compute there what follows from weights


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


def TaskOutputs(model: Any, outputs: Any) -> Any:  # noqa: N802 - makes an instance of a class that needs torch
    """Return a module that maps images (N, C, H, W) to the tensors that a task exports."""
    import torch

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x):
            tensors = outputs.run(self.model, x)
            return tensors if len(tensors) > 1 else tensors[0]

    return Outputs().eval()


def as_arrays(outputs: Any) -> tuple[Any, ...]:
    """Return one tensor or several as a tuple of arrays."""
    return tuple(tensor.numpy() for tensor in (outputs if isinstance(outputs, tuple) else (outputs,)))


def _tried(
    model: Any,
    exporter: str,
    opset: int,
    example: Any,
    probe: Any,
    outputs: Any,
    names: Sequence[str],
    dynamic_size: bool,
) -> dict[str, Any]:
    """Export, check, run on `probe` and build.

    Returns:
        ``max_abs_diff``: the largest difference from what the model gives; ``difference``: the largest one as a part
        of the largest output; ``approximate``: whether that is more than the task tolerates; ``engine``: see
        `engine_check.build`; ``fp16``: see `half_check.measure`.

    Raises:
        Exception: anything the exporter, the checker or ONNX Runtime raise, RuntimeError on disagreement, and
            engine_check.RefusalError.
    """
    import onnx
    import onnxruntime
    import torch

    axes = {0: "batch", **({2: "height", 3: "width"} if dynamic_size else {})}
    with tempfile.TemporaryDirectory(prefix="tao-hf-onnx-") as folder:
        file = os.path.join(folder, "model.onnx")
        common = {"input_names": ["input"], "output_names": list(names), "opset_version": opset}
        with torch.no_grad():
            if exporter == "torchscript":
                torch.onnx.export(
                    model,
                    (example,),
                    file,
                    dynamo=False,
                    dynamic_axes={name: axes if name == "input" or dynamic_size else {0: "batch"}
                                  for name in ("input", *names)},
                    **common,
                )
            else:
                torch.onnx.export(
                    model,
                    (probe,),
                    file,
                    dynamo=True,
                    verbose=False,
                    dynamic_shapes=({axis: torch.export.Dim.DYNAMIC if axis else torch.export.Dim("batch")
                                     for axis in axes},),
                    **common,
                )
        onnx.checker.check_model(file)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        count = session.get_inputs()[0].shape[0]
        if isinstance(count, int):
            raise RuntimeError(f"the network counts the images while it is exported: batches of {count} only")
        batches = [probe, probe[:1]]
        if dynamic_size:
            height, width = probe.shape[-2:]
            batches.append(pictures(1, probe.shape[1], height + _OTHER_SIZE, width + 2 * _OTHER_SIZE))
        worst = relative = 0.0
        larger = list(batches[-1].shape[-2:]) if dynamic_size else None
        for batch in batches:
            got = tuple(session.run(None, {"input": batch.numpy()}))
            with torch.no_grad():
                wanted = as_arrays(model(batch))
            if [array.shape for array in got] != [array.shape for array in wanted]:
                shapes = [[list(array.shape) for array in arrays] for arrays in (got, wanted)]
                raise RuntimeError(f"the exported model gives {shapes[0]} instead of {shapes[1]}")
            difference, scale = outputs.difference(wanted, got)
            if not difference <= _ABSOLUTE + _RELATIVE * scale:
                raise RuntimeError(f"ONNX Runtime differs from PyTorch by {difference:.3g}")
            worst, relative = max(worst, difference), max(relative, difference / max(scale, _ABSOLUTE))
        _, channels, *size = probe.shape
        shapes = {"input": engine_check.profile(size, channels, larger)}
        measured = pictures(_count(_MEASURED, size), channels, *size).split(_BATCH)
        return {
            "max_abs_diff": worst,
            "difference": relative,
            "approximate": relative > outputs.TOLERANCE,
            "engine": engine_check.build(file, shapes),
            "fp16": half_check.measure(file, shapes, [images.numpy() for images in measured], outputs),
        }


def pictures(count: int, channels: int, height: int, width: int) -> Any:
    """Return random images as smooth as photographs, a tensor (N, C, H, W).

    In noise the features of neighbours have nothing to do with each other: what samples between them makes a large
    difference of any rounding, as no trained model on photographs does.
    """
    import torch

    coarse = torch.randn(count, channels, *(max(2, side // _SMOOTH) for side in (height, width)))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")


def fitting_pictures(channels: int, size: Sequence[int]) -> Any:
    """Return the images, a tensor (N, C, H, W), that `enliven` fits batch norms to: 16, fewer of large ones."""
    return pictures(_count(_FITTED, size), channels, *size)


def _count(most: int, size: Sequence[int]) -> int:
    """Return how many images of this height and width to take: at most so many, fewer of large ones, at least two."""
    return max(2, min(most, _PIXELS // (size[0] * size[1])))


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
    if isinstance(error, engine_check.RefusalError):
        return error.operator
    text = str(error)
    for pattern in _OPERATORS:
        match = re.search(pattern, text)
        if match:
            return clean(match[1], 80)
    return None
