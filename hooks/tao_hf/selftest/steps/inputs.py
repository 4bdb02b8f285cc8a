"""What a person gives a test: settings for the model's specs, and a dataset."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from tao_hf.base.errors import UserError

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Settings of the run itself: `--data` and the chain train -> export -> engine decide them.
OWNED_SETTINGS = re.compile(
    r"^(\w+\.)?(results_dir|checkpoint|onnx_file|trt_engine)$|^dataset\.(root_dir|classes_file)$"
    r"|^gen_trt_engine\.tensorrt\.data_type$"
)
SETTING = re.compile(r"^[A-Za-z_]\w*(\.\w+)*=", re.ASCII)


def check_settings(settings: Sequence[str], data_settings: Collection[str]) -> None:
    """Raise UserError for a setting that is not key=value or that the run itself decides.

    Args:
        settings: what the person gave.
        data_settings: the settings that name the parts of a dataset of the model's task.
    """
    for setting in settings:
        if not SETTING.match(setting):
            raise UserError(f"the setting {setting!r} is not of the form key=value, such as train.num_epochs=2")
        key = setting.partition("=")[0]
        if OWNED_SETTINGS.match(key) or any(f"{key}.".startswith(f"{owned}.") for owned in data_settings):
            raise UserError(f"{key} is decided by the test run itself (--data names a dataset)")


def check_data(data: Path, files: Sequence[str], has_classes: bool) -> list[str]:
    """Return the class names of a dataset folder; raise UserError when it is not laid out as its task wants it.

    Args:
        data: the folder.
        files: what must be there besides classes.txt and the folders of images.
        has_classes: whether the task has classes, which classes.txt names.
    """
    names = _class_names(data) if has_classes else []
    for split in ("train", "val", "test"):
        if not images_folder(data, split).is_dir():
            raise UserError(f"{data} has no folder {split}/ (with images)")
    for name in files:
        if not any((data / place).exists() for place in (name, *_places(name))):
            raise UserError(f"{data} has no {name}, which is part of a dataset for this task (see README.md)")
    return names


def images_folder(data: Path, split: str) -> Path:
    """Return the folder of a split's images: where generated models look for it, as TAO's reference models have it."""
    places = [data / split, data / "images" / split, data / f"images_{split}"]
    return next((place for place in places if place.is_dir()), places[0])


def _places(name: str) -> list[str]:
    """Return where TAO's datasets have a file, such as train/annotations.json for annotations/train.json."""
    path = Path(name)
    return [f"{path.stem}/annotations.json"] if path.suffix == ".json" else []


def _class_names(data: Path) -> list[str]:
    try:
        text = (data / "classes.txt").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{data} has no readable classes.txt (one class name per line)") from None
    names = [line for line in text.splitlines() if line.strip()]
    if len(names) < 2:
        raise UserError(f"{data / 'classes.txt'} must name at least two classes, one per line")
    return names


def count_images(folder: Path) -> int:
    """Return how many image files lie below `folder`, as generated models count them: without hidden ones."""
    return sum(
        path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )
