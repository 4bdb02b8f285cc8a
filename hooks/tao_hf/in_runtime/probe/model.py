"""Facts found by building the model without memory, on the meta device: its head and what a checkpoint lacks."""

from __future__ import annotations

import copy
from typing import Any

from tao_hf.in_runtime.probe.checkpoint import Tensors, element_count
from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line, set_classes

_LOADABLE_PARAMETERS = 400_000_000
_TORCH = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def with_classes(config: Any, count: int) -> Any:
    """Return a copy of a transformers configuration with `count` classes."""
    changed = copy.deepcopy(config)
    set_classes(changed, count)
    return changed


def on_meta(cls: Any, config: Any) -> Any:
    """Build a model whose parameters take no memory.

    Raises:
        ProbeError: kind bad_config, when the configuration does not describe a model that can be built.
    """
    import torch

    try:
        with torch.device("meta"):
            return cls(config).eval()
    except ImportError as error:
        raise ProbeError("bad_config", f"{first_line(error).partition('. ')[0]}.") from error
    except Exception as error:
        raise ProbeError(
            "bad_config",
            f"transformers cannot build {cls.__name__} from config.json ({first_line(error, 160)}); the "
            "configuration is broken or needs a library that is not installed.",
        ) from error


def find_head(cls: Any, config: Any, model: Any, count: int) -> tuple[dict[str, list[str]], int | None]:
    """Find the head: the parameters whose shapes change with the number of classes.

    Returns:
        {"modules": [...], "parameters": [...]} and the width that enters the classifier (None: there is none).
    """
    other = {
        name: tuple(value.shape) for name, value in on_meta(cls, with_classes(config, count + 1)).state_dict().items()
    }
    parameters, width = [], None
    for name, value in model.state_dict().items():
        shape = tuple(value.shape)
        if other.get(name) == shape:
            continue
        parameters.append(name)
        changed = other.get(name, ())
        if width is None and len(shape) >= 2 and len(changed) == len(shape) and shape[0] != changed[0]:
            width = shape[1]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in parameters))
    return {"modules": modules, "parameters": parameters}, width


def input_channels(model: Any) -> int | None:
    """Return the channels that the first convolution takes."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            return module.in_channels
    return None


def accepts(model: Any, size: list[int], channels: int) -> bool:
    """Tell whether the model, on the meta device, takes pictures of that [height, width]."""
    import torch

    try:
        with torch.no_grad():
            model(pixel_values=torch.zeros(1, channels, *size, device="meta"))
    except Exception:
        return False
    return True


def output_name(model: Any, size: list[int], channels: int) -> str:
    """Return what a model, on the meta device, calls its first output: "logits", unless it has a name of its own."""
    import torch

    try:
        with torch.no_grad():
            outputs = model(pixel_values=torch.zeros(1, channels, *size, device="meta"), return_dict=True)
            return next(iter(outputs.keys()))
    except Exception:
        return "logits"


def compare_checkpoint(cls: Any, config: Any, model: Any, tensors: Tensors) -> dict[str, list[str]]:
    """Return the names that loading would report as missing, unexpected and mismatched (first 20 of each).

    transformers itself does the comparison, because it renames old parameter names while loading; it gets tensors
    that share one number each.
    """
    total = sum(element_count(tensor) for tensor in tensors.values())
    report = _loading_report(cls, config, tensors) if total <= _LOADABLE_PARAMETERS else None
    if report is not None:
        return report
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    return _first(
        expected.keys() - tensors.keys(),
        tensors.keys() - expected.keys(),
        [name for name in expected.keys() & tensors.keys() if expected[name] != tensors[name]["shape"]],
    )


def _loading_report(cls: Any, config: Any, tensors: Tensors) -> dict[str, list[str]] | None:
    """Return what transformers' own loader reports; None when it refuses, as loaders differ between versions."""
    import torch

    try:
        state = {}
        for name, tensor in tensors.items():
            dtype = getattr(torch, _TORCH[tensor["dtype"]])
            number = torch.zeros([1] * len(tensor["shape"]), dtype=dtype)
            state[name] = number.expand(tensor["shape"])
        _, report = cls.from_pretrained(
            None,
            config=copy.deepcopy(config),
            state_dict=state,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        mismatched = [entry[0] if isinstance(entry, (tuple, list)) else entry for entry in report["mismatched_keys"]]
        return _first(report["missing_keys"], report["unexpected_keys"], mismatched)
    except Exception:
        return None


def _first(missing: Any, unexpected: Any, mismatched: Any) -> dict[str, list[str]]:
    groups = {"missing": missing, "unexpected": unexpected, "mismatched": mismatched}
    return {key: [clean(name) for name in sorted(names)[:20]] for key, names in groups.items()}
