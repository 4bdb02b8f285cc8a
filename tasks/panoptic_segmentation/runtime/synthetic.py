"""Write a tiny panoptic dataset that a model can learn: things on one or two kinds of stuff. See `dataset`.

The pictures are those of object detection; classes of odd numbers are things, the shapes. Classes of even numbers are
stuff: bands of their colours across the picture, which the shapes lie on. FOLDER gets panoptic/train, panoptic/val and
panoptic/test with segment maps beside the annotations. A line at the upper edge belongs to no segment.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tao_hf.in_runtime import task_code

_UNLABELLED = 2  # rows
_FIRST_ID = 300  # so that ids need more than one colour
_STEP = 70
_DIM = 0.5  # brightness of stuff, as a part of that of things
_NOISE = 20  # largest change of a pixel's brightness


def write_dataset(folder: Path, classes: int, height: int, width: int, channels: int = 3) -> list[str]:
    """Write the dataset and return its class names.

    Args:
        folder: made when missing.
        classes: number of classes, at least 2.
        height: pixels the model takes; the pictures are an eighth larger.
        width: as height.
        channels: 1 writes grey pictures, 3 colour.
    """
    detection = task_code.load("object-detection", "synthetic")
    things, stuff = range(1, classes, 2), range(0, classes, 2)
    size = (height + height // 8, width + width // 8)
    rng = np.random.default_rng(0)
    names = [f"class_{label:02d}" for label in range(classes)]
    categories = [
        {"id": detection.FIRST_CATEGORY + classes - label, "name": name, "isthing": label % 2}
        for label, name in enumerate(names)
    ]
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    for split, count in detection.IMAGES.items():
        (folder / split).mkdir(exist_ok=True)
        (folder / "panoptic" / split).mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for index in range(count):
            bands = [stuff[(index + number) % len(stuff)] for number in range(2)]
            shapes = rng.integers(1, detection.MOST_OBJECTS + 1)
            objects = [things[(index + number) % len(things)] for number in range(shapes)]
            colours = {label: detection.colour(label, classes, channels) for label in (*bands, *objects)}
            image, places = _picture(bands, objects, colours, size, rng)
            name = f"{index:03d}.png"
            image.save(folder / split / name)
            ids = _FIRST_ID + _STEP * np.arange(2 + shapes)
            codes = np.array([0, *ids])[places]
            channels_of_ids = [codes % 256, codes // 256, 0 * codes]
            Image.fromarray(np.stack(channels_of_ids, axis=2).astype(np.uint8)).save(folder / "panoptic" / split / name)
            images.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
            segments = [
                {"id": int(ids[number]), "category_id": categories[label]["id"], "iscrowd": 0}
                for number, label in enumerate([*bands, *objects])
                if (places == number + 1).any()
            ]
            annotations.append({"image_id": index + 1, "file_name": name, "segments_info": segments})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return names


def _picture(
    bands: list[int],
    objects: list[int],
    colours: dict[int, tuple[int, ...]],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Image.Image, np.ndarray]:
    """Return a picture of two bands and of shapes on them, and the number of what each pixel shows (H, W).

    Numbers count from 1, the bands first; two bands of one label have one number. 0 is what has no label.
    """
    height, width = size
    grey = len(next(iter(colours.values()))) == 1
    image, places = Image.new("L" if grey else "RGB", (width, height)), Image.new("L", (width, height))

    def draw(shape: str, corners: tuple[int, ...], colour: tuple[int, ...], number: int) -> None:
        for target, fill in ((image, colour[0] if grey else colour), (places, number)):
            getattr(ImageDraw.Draw(target), shape)(corners, fill=fill)

    middle = int(rng.integers(height // 3, 2 * height // 3))
    for number, (top, bottom) in enumerate(((_UNLABELLED, middle), (middle, height)), start=1):
        label = bands[number - 1]
        dim = tuple(round(_DIM * value) for value in colours[label])
        draw("rectangle", (0, top, width - 1, bottom - 1), dim, bands.index(label) + 1)
    for number, label in enumerate(objects, start=len(bands) + 1):
        across, down = (int(side * rng.uniform(0.25, 0.5)) for side in (width, height))
        left, top = int(rng.integers(width - across)), int(rng.integers(_UNLABELLED, height - down))
        shape = ("rectangle", "ellipse")[label // 2 % 2]
        draw(shape, (left, top, left + across - 1, top + down - 1), colours[label], number)
    pixels = np.asarray(image).astype(np.int16)
    pixels += rng.integers(-_NOISE, _NOISE + 1, pixels.shape, dtype=np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), np.asarray(places)
