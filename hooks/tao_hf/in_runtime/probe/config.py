"""What config.json says: sizes, depth, labels; checked before anything is built from it."""

from __future__ import annotations

import json
import keyword
import re
import unicodedata
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line

MAX_SIZE = 8192
SIZE_NAMES = ("image_size", "input_size", "img_size")
UNUSED = "N/A"  # the name of a class index that stands for nothing
_MAX_CLASSES = 1_000_000
_OLD_DETRS = ("conditional_detr", "dab-detr", "deformable_detr", "detr", "table-transformer")
_DEFAULTS = {"in_chans", "out_indices"}
_MAX_LAYERS = 2000
_MAX_WIDTH = 2**17
_NESTED = ("vision_config", "backbone_config", "encoder_config", "image_encoder_config")
_QUANTIZED = ("quantization_config", "compression_config")
_CHANNELS = ("num_channels", "in_chans", "num_input_channels")
_DEPTH = ("num_hidden_layers", "num_layers", "depths", "depth", "layers", "num_encoder_blocks")
# Not needed to build the architecture again, or different in every transformers version.
LEFT_OUT = {
    "id2label",
    "label2id",
    "num_labels",
    "_num_labels",
    "num_classes",
    "label_names",
    "label_descriptions",
    "_name_or_path",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "architectures",
    "auto_map",
    "_commit_hash",
    "custom_pipelines",
    "return_dict",
    "use_return_dict",
    "torchscript",
    "output_attentions",
    "output_hidden_states",
    "_attn_implementation",
    "_attn_implementation_autoset",
}


def values(config: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """Return what `config` and the configs nested in it hold under these names, outermost first."""
    found = [config[name] for name in names if config.get(name) is not None]
    for key in _NESTED:
        if isinstance(config.get(key), dict):
            found += values(config[key], names)
    return found


def check_bounds(config: dict[str, Any]) -> None:
    """Refuse sizes and label tables that no model has, before transformers tries to build them.

    Raises:
        ProbeError: bad_image_size, bad_labels or bad_config.
    """
    for size in values(config, SIZE_NAMES):
        pair(size, "image_size in config.json")
    for depth in values(config, _DEPTH):
        numbers = depth if isinstance(depth, list) else [depth]
        if any(not _whole(n) or n < 0 for n in numbers) or sum(numbers) > _MAX_LAYERS:
            raise ProbeError("bad_config", f"config.json asks for {clean(json.dumps(depth), 60)} layers; repair it.")
    for width in values(
        config, ("hidden_size", "embed_dim", "intermediate_size", "hidden_sizes", "num_attention_heads")
    ):
        numbers = width if isinstance(width, list) else [width]
        if any(not _whole(n) or not 0 < n <= _MAX_WIDTH for n in numbers):
            raise ProbeError(
                "bad_config", f"config.json has a layer width of {clean(json.dumps(width), 60)}; repair it."
            )
    given = config.get("id2label")
    if given is not None and (not isinstance(given, dict) or not all(re.fullmatch(r"\d{1,9}", key) for key in given)):
        raise ProbeError("bad_labels", "id2label in config.json is not a table of class number and name; repair it.")
    for channels in values(config, _CHANNELS):
        if not _whole(channels) or not 0 < channels <= 1024:
            raise ProbeError(
                "bad_config", f"config.json says {clean(json.dumps(channels), 60)} image channels; repair it."
            )


def classes_of(config: dict[str, Any]) -> int | None:
    """Return how many classes config.json gives the head, None where it leaves that to the architecture."""
    table = config.get("id2label")
    counts = [len(table) if isinstance(table, dict) else None, config.get("num_labels"), config.get("num_classes")]
    return next((count for count in counts if _whole(count)), None)


def check_usable(config: dict[str, Any]) -> None:
    """Raise ProbeError (bad_config) for a configuration whose weights can be neither converted nor trained."""
    quantized = [settings for settings in values(config, _QUANTIZED) if settings]
    if quantized:
        method = quantized[0].get("quant_method") if isinstance(quantized[0], dict) else None
        raise ProbeError(
            "bad_config",
            f"The weights are quantized ({clean(method or 'method unnamed', 60)}; quantization_config in config.json) "
            "and can be neither converted nor trained; take the model that they were made from.",
        )


def pair(size: Any, where: str) -> list[int]:
    """Return an int or a pair as [height, width].

    Raises:
        ProbeError: kind bad_image_size.
    """
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        size = [size["height"], size["width"]]
    both = [size, size] if _whole(size) else list(size) if isinstance(size, (list, tuple)) else []
    if len(both) == 3:  # timm writes channels first
        both = both[1:]
    if len(both) == 1:
        both = both * 2
    if len(both) != 2 or not all(_whole(n) and 0 < n <= MAX_SIZE for n in both):
        raise ProbeError(
            "bad_image_size",
            f"{where} is {clean(json.dumps(size, default=str), 60)}; it must be one or two whole numbers "
            f"from 1 to {MAX_SIZE}.",
        )
    return both


def image_size(config: dict[str, Any]) -> list[int] | None:
    """Return [height, width] in pixels as config.json has it, None when it has none."""
    found = values(config, SIZE_NAMES)
    return pair(found[0], "image_size in config.json") if found else None


def channels(config: dict[str, Any]) -> int | None:
    """Return the number of image channels that config.json names."""
    found = values(config, _CHANNELS)
    return found[0] if found else None


def check_channels(count: int) -> None:
    """Raise ProbeError for a model whose images are neither grey nor in colour: no generated loader reads others."""
    if count not in (1, 3):
        raise ProbeError(
            "rejected_task",
            f"This model cannot become a TAO model: it takes images of {count} channels; the generated loaders read "
            "grey images (1 channel) and colour images (3).",
        )


def hidden_size(built: Any) -> int | None:
    """Return the width of the last stage of a transformers configuration object."""
    for holder in _holders(built):
        for name in ("hidden_size", "hidden_sizes", "embed_dims", "embed_dim"):
            value = _attribute(holder, name)
            value = value[-1] if isinstance(value, (list, tuple)) and value else value
            if _whole(value):
                return value
    return None


def num_layers(built: Any) -> int | None:
    """Return the number of layers over all stages."""
    for holder in _holders(built):
        for name in ("depths", "num_hidden_layers", "num_layers", "depth", "num_encoder_blocks"):
            value = _attribute(holder, name)
            if isinstance(value, (list, tuple)) and value and all(_whole(n) for n in value):
                return sum(value)
            if _whole(value):
                return value
    return None


def patch_size(built: Any) -> int | None:
    """Return the patch side in pixels; None for architectures without (or with one per stage)."""
    for holder in _holders(built):
        value = _attribute(holder, "patch_size")
        if isinstance(value, (list, tuple)) and len(set(map(str, value))) == 1:
            value = value[0]
        if _whole(value):
            return value
    return None


def labels(
    config: dict[str, Any], built: Any, count: int, gaps: bool = False
) -> tuple[list[str], str | None, list[str]]:
    """Return the class names by index, what is wrong with them (None: nothing), and notes.

    `config` is config.json, `built` the configuration object that transformers makes of it. With `gaps` indices may be
    left out, and several may be named "N/A", as the 91 ids of COCO's 80 classes are.

    Names keep every printable character; line breaks and control characters become spaces, because a class name is
    one line of classes.txt.
    """
    given = config.get("id2label")
    named = getattr(built, "id2label", None) or {}
    if given is None and str(named.get(0, "LABEL_0")) != "LABEL_0":  # timm names them elsewhere
        given = named
    if given is None:
        return [f"LABEL_{index}" for index in range(count)], None, ["the model names no labels"]
    table = {int(key): value for key, value in given.items()}
    notes = []
    if gaps and table and max(table) < _MAX_CLASSES:
        left_out = set(range(max(table) + 1)) - set(table)
        table |= dict.fromkeys(left_out, UNUSED)
        if left_out:
            notes.append(f"id2label leaves out {len(left_out)} numbers: classes {UNUSED}, which no dataset has")
    if sorted(table) != list(range(len(table))) or not table:
        return [], f"id2label in config.json does not number its {len(table)} names from 0 without gaps", []
    names = [_label(table[index]) for index in range(len(table))]
    empty = [index for index, name in enumerate(names) if not name]
    if empty:
        return names, f"class {empty[0]} has an empty name" + _more(len(empty)), []
    first: dict[str, int] = {}
    twice = [
        (first[name], index)
        for index, name in enumerate(names)
        if first.setdefault(name, index) != index and not (gaps and name == UNUSED)
    ]
    if twice:
        one, other = twice[0]
        return names, f"classes {one} and {other} are both named {clean(names[one], 60)!r}" + _more(len(twice)), notes
    return names, None, notes


def portable(config: dict[str, Any]) -> dict[str, Any]:
    """Return config.json without what is not architecture."""
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT}
    for holder in (kept, kept.get("backbone_config")):
        if isinstance(holder, dict) and "use_pretrained_backbone" in holder:
            holder["use_pretrained_backbone"] = False  # building the architecture must not download anything
    if _names_timm(config):
        del kept["backbone_kwargs"]
    if config.get("model_type") in _OLD_DETRS and isinstance(kept.get("backbone_config"), dict):
        # transformers 4 takes a pretrained one of timm unless it is told not to.
        kept |= {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    return kept


def _names_timm(config: dict[str, Any]) -> bool:
    """Tell whether a config.json names its backbone in timm, with arguments that are the default.

    transformers 5 asks the Hub for a repository of that name whenever it reads such arguments, and not without them.
    """
    arguments = config.get("backbone_kwargs") or {}
    named = isinstance(config.get("backbone"), str) and not config.get("backbone_config")
    return config.get("model_type") in _OLD_DETRS and named and bool(arguments) and arguments.keys() <= _DEFAULTS


def suggested_name(model: str) -> str:
    """Return a snake_case identifier made from the last part of an id or path."""
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain).lower()).strip("_")[:40].strip("_")
    if not name or not name[0].isalpha():
        name = f"hf_{name}".rstrip("_") if name else "hf_model"
    return f"{name}_model" if keyword.iskeyword(name) or keyword.issoftkeyword(name) else name


def build(folder: Any) -> Any:
    """Return the transformers configuration object of a directory; code from the repository is never run.

    Raises:
        ProbeError: kind bad_config.
    """
    from transformers import AutoConfig

    try:
        raw = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        if _names_timm(raw):
            fields = {key: value for key, value in raw.items() if key not in ("model_type", "backbone_kwargs")}
            config = AutoConfig.for_model(raw["model_type"], **fields)
        else:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        for holder in (config, getattr(config, "backbone_config", None)):
            if getattr(holder, "use_pretrained_backbone", False):
                holder.use_pretrained_backbone = False  # building the architecture must not download anything
        return config
    except Exception as error:
        raise ProbeError(
            "bad_config",
            f"transformers cannot read config.json ({first_line(error, 160)}); repair or re-save the model.",
        ) from error


def _label(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text)
    return " ".join(kept.split())


def _more(count: int) -> str:
    return f" (and {count - 1} more like it)" if count > 1 else ""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _holders(built: Any) -> list[Any]:
    nested = [_attribute(built, name) for name in _NESTED]
    return [built, *[item for item in nested if item is not None]]


def _attribute(holder: Any, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except (AttributeError, NotImplementedError):
        return None
