"""The recipe that turns a picture into model input: read from the image processor, then measured against it.

The many spellings of sizes, crops and rescaling are not trusted: recipes that the spelling could mean are tried on
test pictures, and the one whose pixels equal those of the Hugging Face image processor is reported.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from tao_hf.in_runtime.probe.common import ProbeError, clean, first_line
from tao_hf.in_runtime.probe.config import SIZE_NAMES, pair
from tao_hf.in_runtime.probe.source import Source

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_DEFAULT_SIZE = 224
_DOWN = "down"
_FLAGS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order")
_READ = (
    *_FLAGS,
    "size",
    "crop_size",
    "crop_pct",
    "crop_rounding",
    "resample",
    "rescale_factor",
    "image_mean",
    "image_std",
    "default_to_square",
    "do_reduce_labels",
)
# A picture's pixels are whole numbers; half a step of one at a standard deviation of 0.2 is about 0.01.
_AGREES = 0.01
_SHAPES = ((233, 331), (307, 180))  # height and width of test pictures


class Recipe:
    """How to preprocess: `resize`, `crop` and `interpolation` as in the findings; mean and std for input in 0..1."""

    def __init__(self, resize: dict | None, crop: dict | None, interpolation: str, crop_rounding: str) -> None:
        """Start with no normalisation; half a pixel of a crop's margin goes "down" or to the "even" side."""
        self.resize, self.crop, self.interpolation, self.crop_rounding = resize, crop, interpolation, crop_rounding
        self.mean: list[float] = []
        self.std: list[float] = []
        self.channel_order = "RGB"
        self.reduce_labels = False  # of masks: 0 means no class, and the others count from 1

    def findings(self) -> dict[str, Any]:
        """Return the `preprocess` entry of the findings."""
        return {
            "resize": self.resize,
            "crop": self.crop,
            "crop_rounding": self.crop_rounding,
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
            "channel_order": self.channel_order,
            "reduce_labels": self.reduce_labels,
        }

    def output_size(self) -> list[int] | None:
        """Return [height, width] of every output, None when it depends on the picture."""
        if self.crop:
            return [self.crop["height"], self.crop["width"]]
        if self.resize and self.resize["mode"] == "exact":
            return [self.resize["height"], self.resize["width"]]
        return None

    def apply(self, picture: Any) -> Any:
        """Return the float32 array (C, H, W) of a PIL picture, before normalisation, in 0..1."""
        import numpy
        from PIL import Image

        width, height = picture.size
        if self.resize and self.resize["mode"] == "exact":
            picture = picture.resize(
                (self.resize["width"], self.resize["height"]), getattr(Image.Resampling, self.interpolation.upper())
            )
        elif self.resize:
            short, long = sorted((width, height))
            other = int(self.resize["size"] * long / short)
            size = (self.resize["size"], other) if width <= height else (other, self.resize["size"])
            picture = picture.resize(size, getattr(Image.Resampling, self.interpolation.upper()))
        array = numpy.asarray(picture)
        if array.ndim == 2:
            array = array[:, :, None]
        if self.crop:
            array = _center_crop(array, self.crop["height"], self.crop["width"], self.crop_rounding)
        return array.transpose(2, 0, 1).astype("float32") / 255.0


def read(
    source: Source, size: list[int] | None, channels: int, exact: bool = False
) -> tuple[Recipe, list[int], list[str], float | None]:
    """Find a model's preprocessing.

    Args:
        source: the model.
        size: [height, width] of config.json, or None.
        channels: image channels of the model.
        exact: make the recipe a resize to one size, whatever it was.

    Returns:
        The recipe, [height, width] of what reaches the model, notes for the person, and the largest difference from
        the Hugging Face image processor on test pictures, in normalised units (None: it could not be run).

    Raises:
        ProbeError: bad_image_size or bad_config.
    """
    notes: list[str] = []
    if source.preprocessor is None:
        processor = _default_processor(source.config, size, channels)
        if processor is None:
            size = size or [_DEFAULT_SIZE] * 2
            recipe = Recipe(_exact(*size), None, "bilinear", _DOWN)
            recipe.mean, recipe.std = [0.5] * channels, [0.5] * channels
            notes.append("the model has no preprocessor config: mean and std 0.5 and an exact resize are assumed")
            return recipe, size, notes, None
        notes.append(
            "the model has no preprocessor config: what transformers does for its architecture is assumed "
            f"({type(processor).__name__})"
        )
        facts = _facts({}, processor)
    else:
        _check_sizes(source.preprocessor)
        processor = _processor(source, notes)
        facts = _facts(source.preprocessor, processor)
    interpolation = _RESAMPLE.get(facts.get("resample"), "bilinear")
    recipes = _candidates(facts, interpolation, notes)
    mean, std = _normalisation(facts, channels, notes)
    difference = None
    chosen = recipes[0]
    order = "RGB"
    if processor is not None:
        try:
            if channels == 3 and _flips(processor):
                order = "BGR"
                notes.append("the image processor swaps red and blue: this model wants its channels in BGR order")
            mean, std = _measured_normalisation(processor, mean, std, channels, notes)
            chosen, difference = _closest(recipes, processor, mean, std, channels, order)
            if difference is None or difference > _AGREES:
                notes.append("the image processor does more than resize, crop and normalise: outputs differ from it")
        except Exception as error:
            notes.append(f"the preprocessing was read, not measured: {first_line(error, 120)}")
    chosen.mean, chosen.std, chosen.channel_order = mean, std, order
    chosen.reduce_labels = bool(facts.get("do_reduce_labels"))
    out = chosen.output_size()
    if exact:
        out = out or size or _square(facts) or [_DEFAULT_SIZE] * 2
        if chosen.resize != _exact(*out) or chosen.crop:
            chosen.resize, chosen.crop, difference = _exact(*out), None, None
            notes.append(f"the image processor does not resize to one size; here it is {out[0]}x{out[1]} pixels")
    elif out is None:
        out = size or _square(facts) or [_DEFAULT_SIZE] * 2
        if chosen.resize:
            chosen.crop = {"height": out[0], "width": out[1]}
            notes.append("the image processor keeps each picture's aspect ratio; a centre crop makes the size fixed")
        else:
            chosen.resize = _exact(*out)
            notes.append("the image processor does not resize; an exact resize makes the size fixed")
    pair(out, "the image size in the preprocessor config")
    return chosen, out, notes, difference


def _check_sizes(raw: dict[str, Any]) -> None:
    for name in ("size", "crop_size"):
        value = raw.get(name)
        numbers = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in numbers:
            if number is not None:
                pair(number, f"{name} in the preprocessor config")


def _processor(source: Source, notes: list[str]) -> Any:
    """Return the image processor with its PIL backend where it has one; None when it cannot be made."""
    import transformers
    from transformers import AutoImageProcessor

    backend = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if source.size:  # timm's, with every value checked
                return transformers.TimmWrapperImageProcessor(source.preprocessor["pretrained_cfg"])
            return AutoImageProcessor.from_pretrained(
                source.folder, trust_remote_code=False, local_files_only=True, **backend
            )
    except Exception as error:
        notes.append(f"the image processor cannot be made, so its config was read: {first_line(error, 120)}")
        return None


def _default_processor(config: dict[str, Any], size: list[int] | None, channels: int) -> Any:
    """Return the image processor that transformers has for an architecture, None where it has none to make.

    It is made for pictures of `size`, where config.json has one and the processor makes all pictures of one size.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    model_type = str(config.get("model_type"))
    classes = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type) or {}
    # By backend, or (transformers 4) the one that works on PIL pictures first.
    names = [classes.get("pil"), classes.get("torchvision")] if isinstance(classes, dict) else [*classes]
    try:
        cls = getattr(transformers, next(name for name in names if name))
        processor = cls()
        arguments = {}
        for name in ("image_mean", "image_std"):
            numbers = getattr(processor, name, None)
            if isinstance(numbers, (list, tuple)) and len(numbers) != channels:
                arguments[name] = [sum(numbers) / len(numbers)] * channels
        made = {_run(cls(**arguments), _noise(*shape, channels)).shape[1:] for shape in _SHAPES}
        # An image_size that the configuration class does not have says nothing; published files of SegFormer have one.
        known = CONFIG_MAPPING[model_type]()
        left = any(name in config for name in SIZE_NAMES) and not any(hasattr(known, name) for name in SIZE_NAMES)
        if size and not left and len(made) == 1 and list(*made) != size:
            arguments |= _scaled(processor, *made, size)
        return cls(**arguments)
    except Exception:  # whatever a processor raises that needs to be told something
        return None


def _scaled(processor: Any, made: tuple[int, int], size: list[int]) -> dict[str, Any]:
    """Return the sizes of an image processor that makes pictures of `made`, changed to make them of `size`."""
    factors = {"height": size[0] / made[0], "width": size[1] / made[1]}
    larger = max(factors.values())
    return {
        name: {side: round(pixels * factors.get(side, larger)) for side, pixels in found.items()}
        for name in ("size", "crop_size")
        if (found := _size(getattr(processor, name, None), True))
    }


def _facts(raw: dict[str, Any], processor: Any) -> dict[str, Any]:
    facts = {name: raw[name] for name in _READ if name in raw}
    for name in _READ:
        value = getattr(processor, name, None)
        if value is not None:
            facts[name] = value
    facts["resample"] = int(facts["resample"]) if isinstance(facts.get("resample"), int) else None
    square = bool(facts.get("default_to_square", True))
    for name in ("size", "crop_size"):
        facts[name] = _size(facts.get(name), square or name == "crop_size")
    if isinstance(getattr(processor, "resize_short", None), int):
        facts["size"] = {"shortest_edge": processor.resize_short}
    if processor is None:
        facts.setdefault("do_resize", bool(facts["size"]))
        facts.setdefault("do_center_crop", bool(facts["crop_size"]))
        facts.setdefault("do_rescale", True)
        facts.setdefault("do_normalize", "image_mean" in facts)
    return facts


def _size(value: Any, square: bool) -> dict[str, int]:
    if isinstance(value, int):
        return {"height": value, "width": value} if square else {"shortest_edge": value}
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return {"height": value[0], "width": value[1]}
    if value is None or isinstance(value, (str, list, tuple)):
        return {}
    return {key: number for key, number in dict(value).items() if isinstance(number, int)}


def _square(facts: dict[str, Any]) -> list[int] | None:
    size = facts["size"]
    side = size.get("shortest_edge") or size.get("longest_edge")
    return [side, side] if side else None


def _exact(height: int, width: int) -> dict[str, Any]:
    return {"mode": "exact", "height": height, "width": width}


def _candidates(facts: dict[str, Any], interpolation: str, notes: list[str]) -> list[Recipe]:
    """Return what the facts can mean, most likely first."""
    size, pct = facts["size"], facts.get("crop_pct")
    crop = None
    if facts.get("do_center_crop") and {"height", "width"} <= set(facts["crop_size"]):
        crop = {"height": facts["crop_size"]["height"], "width": facts["crop_size"]["width"]}
    pairs: list[tuple[dict | None, dict | None]] = []
    if not facts.get("do_resize"):
        pairs.append((None, crop))
    elif {"height", "width"} <= set(size):
        pairs.append((_exact(size["height"], size["width"]), crop))
        if crop and crop["height"] == crop["width"] > size["height"]:  # it crops first, as large a part
            pairs.append(({"mode": "shortest_edge", "size": crop["height"]}, dict(size)))
        if pct and size["height"] == size["width"]:
            pairs.append(({"mode": "shortest_edge", "size": int(size["height"] / pct)}, crop))
    elif "shortest_edge" in size:
        side = size["shortest_edge"]
        if pct:
            larger = {"mode": "shortest_edge", "size": int(side / pct)}
            pairs += [(larger, {"height": side, "width": side}), (larger, crop)]
            if side >= 384:
                pairs.insert(0, (_exact(side, side), crop))
        pairs += [
            ({"mode": "shortest_edge", "size": side}, crop),
            (_exact(side, side), crop),
            ({"mode": "shortest_edge", "size": int(256 / 224 * side)}, crop),
        ]
    else:
        notes.append(f"a resize by {clean(json.dumps(size), 60)} is not supported; an exact resize is used")
        pairs.append((None, crop))
    rounding = facts.get("crop_rounding", _DOWN)
    return [Recipe(resize, cut, interpolation, rounding) for resize, cut in pairs]


def _normalisation(facts: dict[str, Any], channels: int, notes: list[str]) -> tuple[list[float], list[float]]:
    """Return mean and std for input in 0..1, with the rescale factor folded in."""
    full = 255.0 * (float(facts.get("rescale_factor") or 1 / 255) if facts.get("do_rescale") else 1.0)
    mean, std = [0.0] * channels, [1.0] * channels
    if facts.get("do_normalize"):
        mean = _per_channel(facts.get("image_mean"), channels, 0.5, notes)
        std = _per_channel(facts.get("image_std"), channels, 0.5, notes)
    if any(value == 0 for value in std):
        raise ProbeError("bad_config", "image_std in the preprocessor config is 0; repair it.")
    if abs(full - 1.0) < 1e-9:
        return mean, std
    return [value / full for value in mean], [value / full for value in std]


def _per_channel(value: Any, channels: int, default: float, notes: list[str]) -> list[float]:
    numbers = list(value) if isinstance(value, (list, tuple)) else [default if value is None else value]
    if not numbers or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        raise ProbeError("bad_config", "image_mean or image_std in the preprocessor config is not a list of numbers.")
    numbers = [float(number) for number in numbers]
    if len(numbers) == channels:
        return numbers
    if len(set(numbers)) > 1:
        notes.append(
            f"the preprocessor normalises {len(numbers)} channels, the model takes {channels}: the average is used"
        )
    return [sum(numbers) / len(numbers)] * channels


def _measured_normalisation(
    processor: Any, mean: list[float], std: list[float], channels: int, notes: list[str]
) -> tuple[list[float], list[float]]:
    """Compare mean and std with what the processor does to plain pictures; the processor is right."""
    dark, middle, bright = (_centre(_run(processor, _plain(value, channels))) for value in (0, 128, 255))
    found_std = [1.0 / (float(b) - float(d)) for d, b in zip(dark, bright, strict=True)]
    found_mean = [-float(d) * s for d, s in zip(dark, found_std, strict=True)]
    expected = [(128 / 255 - m) / s for m, s in zip(found_mean, found_std, strict=True)]
    if any(abs(e - float(m)) > _AGREES for e, m in zip(expected, middle, strict=True)):
        notes.append("the image processor's normalisation is not linear; it is approximated")
    same = all(abs(a - b) < 1e-4 for a, b in zip([*mean, *std], [*found_mean, *found_std], strict=True))
    if same:
        return mean, std
    return [round(value, 7) for value in found_mean], [round(value, 7) for value in found_std]


def _flips(processor: Any) -> bool:
    """Tell whether a red picture comes out with its light in the last channel."""
    import numpy
    from PIL import Image

    red = numpy.zeros((64, 64, 3), dtype="uint8")
    black = _centre(_run(processor, Image.fromarray(red)))
    red[..., 0] = 255
    seen = _centre(_run(processor, Image.fromarray(red)))
    return abs(seen[2] - black[2]) > 1e-4 and abs(seen[0] - black[0]) < 1e-4


def _closest(
    recipes: list[Recipe], processor: Any, mean: list[float], std: list[float], channels: int, order: str
) -> tuple[Recipe, float | None]:
    """Return the recipe whose pixels are nearest to the processor's, and the largest difference (None: other sizes)."""
    import numpy

    shift = numpy.array(mean, dtype="float32")[:, None, None]
    scale = numpy.array(std, dtype="float32")[:, None, None]
    pictures = [_noise(*shape, channels) for shape in _SHAPES]
    truths = [_run(processor, picture) for picture in pictures]
    if len({truth.shape for truth in truths}) == 1:  # whatever it does, it makes pictures of one size
        recipes = [*recipes, Recipe(_exact(*truths[0].shape[1:]), None, recipes[0].interpolation, _DOWN)]
    best, least = recipes[0], float("inf")
    for recipe in recipes:
        worst = 0.0
        for picture, truth in zip(pictures, truths, strict=True):
            pixels = recipe.apply(picture)
            ours = ((pixels[::-1] if order == "BGR" else pixels) - shift) / scale
            worst = max(worst, float(numpy.abs(ours - truth).max()) if ours.shape == truth.shape else float("inf"))
        if worst < least:
            best, least = recipe, worst
        if least <= _AGREES:
            break
    return best, least if least < float("inf") else None


def _run(processor: Any, picture: Any) -> Any:
    import numpy

    if picture.mode == "L":  # transformers 4 takes grayscale only as an array with a channel axis
        picture = numpy.asarray(picture)[:, :, None]
    values = processor(images=picture, return_tensors="pt")["pixel_values"]
    array = numpy.asarray(values[0], dtype="float32")
    return array[None] if array.ndim == 2 else array


def _centre(array: Any) -> list[float]:
    return [float(channel[channel.shape[0] // 2, channel.shape[1] // 2]) for channel in array]


def _plain(value: int, channels: int) -> Any:
    from PIL import Image

    return Image.new("L" if channels == 1 else "RGB", (64, 64), value if channels == 1 else (value,) * 3)


def _noise(height: int, width: int, channels: int) -> Any:
    import numpy
    from PIL import Image

    generator = numpy.random.default_rng(0)
    shape = (height, width) if channels == 1 else (height, width, 3)
    return Image.fromarray(generator.integers(0, 256, shape, dtype="uint8"))


def _center_crop(array: Any, height: int, width: int, rounding: str) -> Any:
    """Crop (H, W, C) around the centre; a smaller picture is padded with zeros first."""
    import numpy

    have_h, have_w = array.shape[:2]
    pad_h, pad_w = max(height - have_h, 0), max(width - have_w, 0)
    if pad_h or pad_w:
        more = 0 if rounding == "even" else 1
        top, left = (pad_h + more) // 2, (pad_w + more) // 2
        array = numpy.pad(array, ((top, pad_h - top), (left, pad_w - left), (0, 0)))
        have_h, have_w = array.shape[:2]
    half = (lambda margin: round(margin / 2)) if rounding == "even" else (lambda margin: margin // 2)
    top, left = half(have_h - height), half(have_w - width)
    return array[top : top + height, left : left + width]
