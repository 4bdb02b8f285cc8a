"""Write a tiny detection dataset that a model can learn: one colour and shape per class. See `dataset`.

FOLDER gets classes.txt (line order is class index), pictures in train/, val/ and test/, and their boxes in COCO format
in annotations/. Category ids do not count from 0 and are not in the order of classes.txt, as in many datasets. The
pictures are a little larger than asked for, so that resizing is exercised, and the same on every run.
"""

from __future__ import annotations

import colorsys
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

IMAGES = {"train": 24, "val": 8, "test": 8}
MOST_OBJECTS = 3
FIRST_CATEGORY = 10


def colour(label: int, classes: int, channels: int) -> tuple[int, ...]:
    """Return the colour of a class, or its grey level."""
    share = label / classes
    if channels == 1:
        return (round(255 * (0.4 + 0.6 * share)),)
    return tuple(round(255 * value) for value in colorsys.hsv_to_rgb(share, 0.9, 0.95))


def picture(
    first: int, classes: int, height: int, width: int, channels: int, rng: np.random.Generator
) -> tuple[Image.Image, list[tuple[int, list[int]]]]:
    """Return a picture of one to three shapes on noise, and label and box (left, top, width, height) of each shape.

    The labels count up from `first`, so that every class has its share.
    """
    noise = rng.integers(0, 60, (height, width) if channels == 1 else (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    objects = []
    for number in range(rng.integers(1, MOST_OBJECTS + 1)):
        label = (first + number) % classes
        sides = [int(side * rng.uniform(0.25, 0.5)) for side in (width, height)]
        left, top = (int(rng.integers(side - extent)) for side, extent in zip((width, height), sides, strict=True))
        corners = [left, top, left + sides[0] - 1, top + sides[1] - 1]
        shape = (draw.rectangle, draw.ellipse)[label % 2]
        fill = colour(label, classes, channels)
        shape(corners, fill=fill[0] if channels == 1 else fill)
        objects.append((label, [left, top, *sides]))
    return image, objects


def write_dataset(folder: Path, classes: int, height: int, width: int, channels: int = 3) -> list[str]:
    """Write the dataset and return its class names.

    Args:
        folder: made when missing.
        classes: number of classes, at least 2.
        height: pixels the model takes; the pictures are an eighth larger.
        width: as height.
        channels: 1 writes grey pictures, 3 colour.
    """
    names = [f"class_{label:02d}" for label in range(classes)]
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    category = {label: FIRST_CATEGORY + classes - label for label in range(classes)}
    rng = np.random.default_rng(0)
    size = (height + height // 8, width + width // 8)
    for split, count in IMAGES.items():
        (folder / split).mkdir(exist_ok=True)
        images, boxes = [], []
        for index in range(count):
            image, objects = picture(len(boxes), classes, *size, channels, rng)
            name = f"{index:03d}.png"
            image.save(folder / split / name)
            images.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
            for label, box in objects:
                boxes.append(
                    {
                        "id": len(boxes) + 1,
                        "image_id": index + 1,
                        "category_id": category[label],
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": category[label], "name": name} for label, name in enumerate(names)]
        content = {"images": images, "annotations": boxes, "categories": categories}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return names
