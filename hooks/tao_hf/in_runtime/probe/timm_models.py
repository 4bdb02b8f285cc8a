"""timm's own checkpoints, and transformers' wrapper of them, told in the terms of the other models.

Such a config.json names one of timm's architectures, and holds the preprocessing too. transformers reads it as a model
of type timm_wrapper; here the same is done with what the file says checked first, since timm would follow a name to
another repository or a file.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from tao_hf.in_runtime.probe.checkpoint import Tensors
from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line
from tao_hf.in_runtime.probe.config import check_bounds, pair
from tao_hf.in_runtime.probe.source import Source

MODEL_TYPE = "timm_wrapper"
_CLASS = "TimmWrapperForImageClassification"
_PREFIX = "timm_model."
_MAX_CLASSES = 1_000_000
_NAME = re.compile(r"\w{1,100}(\.[\w-]{1,100})?", re.ASCII)
_KEPT = ("do_pooling", "initializer_range", "problem_type")
# Arguments that say where weights come from, or that make something else than a classifier.
_NOT_OF_THE_MODEL = re.compile(r"pretrained\w*|checkpoint_path|cache_dir|features_only|pruned|device|dtype|model_name")
_COUNTS = re.compile(r"depth|layers|blocks|repeat")
_MAX_COUNT, _MAX_NUMBER, _MAX_TEXT, _MAX_NESTING, _MAX_ITEMS = 2000, 2**20, 100, 4, 1000
_RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_CROP_MODES = ("center", "squash", "border")
# What timm takes where a configuration is silent.
_SIZE, _CROP_PCT = [3, 224, 224], 0.875
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def adapted(source: Source) -> Source:
    """Return a model of timm's as transformers would have it, any other one as it is.

    Raises:
        ProbeError: bad_config, bad_image_size, bad_labels or rejected_task.
    """
    raw = source.config
    if raw.get("model_type", MODEL_TYPE) != MODEL_TYPE:
        return source
    if "model_type" not in raw and "pretrained_cfg" not in raw:
        if "architecture" in raw:
            raise ProbeError(
                "bad_config",
                "config.json has no pretrained_cfg, as only an old timm wrote it; save it with a newer one.",
            )
        return source
    arguments, classes = _arguments(raw)
    config = {
        **{key: raw[key] for key in _KEPT if key in raw},
        "model_type": MODEL_TYPE,
        "architectures": raw.get("architectures") or [_CLASS],
        "architecture": _architecture(raw),
        "model_args": arguments or None,
        "num_classes": classes,
    }
    names = _label_names(raw.get("label_names"), classes)
    if names:
        config["label_names"] = names
    preprocessor, size = source.preprocessor, None
    written = raw.get("pretrained_cfg", (preprocessor or {}).get("pretrained_cfg"))
    if written is not None:
        preprocessor, size = _preprocessor(written)
    return dataclasses.replace(
        source, config=config, preprocessor=preprocessor, size=size, tensors=_as_wrapped(source.tensors)
    )


def build(config: dict[str, Any]) -> Any:
    """Return the transformers configuration object of an adapted configuration.

    Raises:
        ProbeError: kind bad_config.
    """
    from transformers import TimmWrapperConfig

    try:
        return TimmWrapperConfig.from_dict(dict(config))
    except Exception as error:
        raise ProbeError(
            "bad_config",
            f"transformers cannot read config.json ({first_line(error, 160)}); repair or re-save the model.",
        ) from error


def check_size(accepted: bool, size: list[int]) -> None:
    """Refuse a picture size that the model was told of, and does not take.

    Raises:
        ProbeError: kind bad_image_size.
    """
    if not accepted:
        raise ProbeError(
            "bad_image_size",
            f"The model does not take the {size[0]}x{size[1]} pixels of input_size in pretrained_cfg; name the size it "
            "was made for there, or as img_size in model_args.",
        )


def patch_size(network: Any) -> int | None:
    """Return the side of a patch in pixels of a built model; None where it has no (square) patches."""
    size = getattr(getattr(network.timm_model, "patch_embed", None), "patch_size", None)
    sides = set(size) if isinstance(size, (list, tuple)) else {size}
    side = sides.pop() if len(sides) == 1 else None
    return side if _whole(side) else None


def hidden_size(network: Any) -> int | None:
    """Return the width of a built model's features."""
    width = getattr(network.timm_model, "num_features", None)
    return width if _whole(width) else None


def _architecture(raw: dict[str, Any]) -> str:
    name = raw.get("architecture")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ProbeError("bad_config", f"architecture in config.json is {_shown(name)}, which is no name of timm's.")
    import timm

    if not timm.is_model(name.split(".")[0]):
        raise ProbeError(
            "bad_config", f"timm {timm.__version__} does not know the architecture {name}; use one that it knows."
        )
    return name


def _arguments(raw: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the arguments of the architecture without the number of classes, and that number."""
    arguments = raw.get("model_args")
    if arguments is not None and not isinstance(arguments, dict):
        raise ProbeError("bad_config", f"model_args in config.json is {_shown(arguments)} and not a JSON object.")
    arguments = dict(arguments or {})
    classes = raw.get("num_classes")
    if not _whole(classes) or not 0 <= classes <= _MAX_CLASSES:
        raise ProbeError("bad_config", f"num_classes in config.json is {_shown(classes)}; repair it.")
    repeated = arguments.pop("num_classes", classes)  # timm repeats it there, transformers wants it once
    if repeated != classes:
        raise ProbeError(
            "bad_config", f"num_classes is {classes} and in model_args {_shown(repeated)}; repair config.json."
        )
    if classes == 0:
        raise ProbeError(
            "rejected_task", "This model has no classifier (num_classes is 0), so it cannot become a TAO model."
        )
    for key, value in arguments.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) or _NOT_OF_THE_MODEL.fullmatch(key):
            raise ProbeError("bad_config", f"model_args in config.json sets {_shown(key)}, which no classifier takes.")
        _check_plain(key, value)
    check_bounds(arguments)
    return arguments, classes


def _check_plain(key: str, value: Any) -> None:
    items, problem = [(value, 0)], False
    for item, depth in items:  # grows while it is walked
        if isinstance(item, (list, dict)):
            inner = list(item.values()) if isinstance(item, dict) else item
            items += [(part, depth + 1) for part in inner[: _MAX_ITEMS + 1]]
            problem |= len(items) > _MAX_ITEMS or depth > _MAX_NESTING
        elif isinstance(item, str):
            problem |= len(item) > _MAX_TEXT
        elif isinstance(item, (int, float)):
            problem |= not abs(item) <= _MAX_NUMBER
        if problem:
            break
    if not problem and _COUNTS.search(key):
        numbers = [item for item, _ in items if _whole(item)]
        problem = any(number < 0 for number in numbers) or sum(numbers) > _MAX_COUNT
    if problem:
        raise ProbeError("bad_config", f"{key} in model_args in config.json is {_shown(value)}; repair it.")


def _label_names(given: Any, classes: int) -> list[str]:
    """Return the class names as a list; timm also takes a table of numbers and names, with gaps."""
    if isinstance(given, dict) and all(re.fullmatch(r"\d{1,7}", key) for key in given):
        table = {int(key): name for key, name in given.items()}
        if all(number < classes for number in table):
            given = [table.get(number, "") for number in range(classes)]
    if given in (None, [], {}) or given == [f"LABEL_{number}" for number in range(classes)]:
        return []
    if not isinstance(given, list) or len(given) != classes or not all(isinstance(name, str) for name in given):
        raise ProbeError(
            "bad_labels", f"label_names in config.json does not hold one name for each of {classes} classes."
        )
    return given


def _preprocessor(given: Any) -> tuple[dict[str, Any], list[int]]:
    """Return timm's preprocessing for evaluation as transformers spells it, with what was read, and the input size."""
    if not isinstance(given, dict):
        raise ProbeError("bad_config", f"pretrained_cfg in config.json is {_shown(given)} and not a JSON object.")
    written = given.get("input_size")
    size = _SIZE if written is None else written
    if not isinstance(size, list) or len(size) != 3 or not _whole(size[0]) or not 0 < size[0] <= 1024:
        raise ProbeError(
            "bad_image_size", f"input_size in pretrained_cfg is {_shown(size)} and not channels and a size."
        )
    height, width = pair(size, "input_size in pretrained_cfg")
    mode = _one_of(given, "crop_mode", _CROP_MODES, "center")
    interpolation = _one_of(given, "interpolation", tuple(_RESAMPLE), "bicubic")
    part = given.get("crop_pct") or _CROP_PCT
    if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0.01 <= part <= 2:
        raise ProbeError("bad_config", f"crop_pct in pretrained_cfg is {_shown(part)}; it must be a number up to 2.")
    mean = _per_channel(given, "mean", size[0], _MEAN)
    std = _per_channel(given, "std", size[0], _STD)
    if min(std) <= 0:
        raise ProbeError("bad_config", f"std in pretrained_cfg is {_shown(std)}; it must be more than 0.")
    scaled = {"height": math.floor(height / part), "width": math.floor(width / part)}
    keeps_shape = mode == "center" and scaled["height"] == scaled["width"]
    return {
        "do_resize": True,
        "size": {"shortest_edge": scaled["height"]} if keeps_shape else scaled,
        "do_center_crop": keeps_shape or scaled != {"height": height, "width": width},
        "crop_size": {"height": height, "width": width},
        "crop_rounding": "even",
        "resample": _RESAMPLE[interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
        "pretrained_cfg": {
            "input_size": size,
            "interpolation": interpolation,
            "crop_pct": part,
            "crop_mode": mode,
            "mean": mean,
            "std": std,
        },
    }, [height, width]


def _one_of(given: dict[str, Any], key: str, known: tuple[str, ...], default: str) -> str:
    value = given.get(key) or default
    if value not in known:
        raise ProbeError("bad_config", f"{key} in pretrained_cfg is {_shown(value)}; it must be {', '.join(known)}.")
    return value


def _per_channel(given: dict[str, Any], key: str, channels: int, default: list[float]) -> list[float]:
    value = given.get(key)
    if value is None:
        value = default if channels == len(default) else [sum(default) / len(default)]
    numbers = value if isinstance(value, list) else []
    good = all(isinstance(n, (int, float)) and not isinstance(n, bool) and abs(n) <= _MAX_NUMBER for n in numbers)
    if not good or len(numbers) not in (1, channels):
        raise ProbeError("bad_config", f"{key} in pretrained_cfg is {_shown(value)} and not {channels} numbers.")
    return [float(number) for number in (numbers if len(numbers) == channels else numbers * channels)]


def _as_wrapped(tensors: Tensors) -> Tensors:
    return {name if name.startswith(_PREFIX) else _PREFIX + name: tensor for name, tensor in tensors.items()}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return clean(repr(value), 60)
