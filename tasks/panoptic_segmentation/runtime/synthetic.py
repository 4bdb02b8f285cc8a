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
            labels = [stuff[index % len(stuff)], stuff[(index + 1) % len(stuff)]]
            labels += [things[(index + number) % len(things)] for number in range(rng.integers(1, detection.MOST_OBJECTS + 1))]
            colours = [detection.colour(label, classes, channels) for label in labels]
            image, ids, kept = _picture(labels, colours, size, channels, rng)
            name = f"{index:03d}.png"
            image.save(folder / split / name)
            Image.fromarray(ids).save(folder / "panoptic" / split / name)
            images.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
            segments = [
                {"id": segment_id, "category_id": categories[label]["id"], "iscrowd": 0} for segment_id, label in kept
            ]
            annotations.append({"image_id": index + 1, "file_name": name, "segments_info": segments})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return names


def _picture(
    labels: list[int], colours: list[tuple[int, ...]], size: tuple[int, int], channels: int, rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray, list[tuple[int, int]]]:
    """Return a picture, its segment map (H, W, 3), and the id and label of each segment that can be seen."""
    height, width = size
    mode = "L" if channels == 1 else "RGB"
    image, places = Image.new(mode, (width, height)), Image.new("L", (width, height))
    draws = ImageDraw.Draw(image), ImageDraw.Draw(places)
    middle = int(rng.integers(height // 3, 2 * height // 3))
    bands = [(0, _UNLABELLED, width - 1, middle - 1), (0, middle, width - 1, height - 1)]
    numbers = {}  # of segments, by label: stuff is one, wherever it lies
    for number, (label, colour) in enumerate(zip(labels, colours, strict=True), start=1):
        if number <= len(bands):
            shape, corners, number = "rectangle", bands[number - 1], numbers.setdefault(label, number)
            colour = tuple(round(_DIM * value) for value in colour)
        else:
            sides = [int(side * rng.uniform(0.25, 0.5)) for side in (width, height)]
            left = int(rng.integers(width - sides[0]))
            top = int(rng.integers(_UNLABELLED, height - sides[1]))
            shape, corners = ("rectangle", "ellipse")[label // 2 % 2], (left, top, left + sides[0] - 1, top + sides[1] - 1)
        for draw, fill in zip(draws, (colour[0] if channels == 1 else colour, number), strict=True):
            getattr(draw, shape)(corners, fill=fill)
    pixels = np.asarray(image).astype(np.int16) + rng.integers(-20, 21, np.asarray(image).shape)
    places = np.asarray(places)
    seen = [number for number in range(1, len(labels) + 1) if (places == number).any()]
    ids = {number: _FIRST_ID + _STEP * number for number in seen}
    codes = np.array([ids.get(number, 0) for number in range(len(labels) + 1)])[places]
    colours_of_ids = np.stack([codes % 256, codes // 256, np.zeros_like(codes)], axis=2).astype(np.uint8)
    kept = [(ids[number], labels[number - 1]) for number in seen]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), colours_of_ids, kept
