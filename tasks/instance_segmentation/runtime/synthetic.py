"""Write a tiny dataset of instances that a model can learn: that of object detection, with outlines. See `dataset`.

Every other outline is a polygon, and the rest are run lengths, as both are found in COCO's files.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tao_hf.in_runtime import task_code

_CORNERS = 24  # of the polygon that stands for an ellipse


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
    names = detection.write_dataset(folder, classes, height, width, channels)
    for file in sorted((folder / "annotations").glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        labels = {category["id"]: names.index(category["name"]) for category in content["categories"]}
        images = {image["id"]: image for image in content["images"]}
        for number, entry in enumerate(content["annotations"]):
            polygon = outline(labels[entry["category_id"]] % 2 == 1, *entry["bbox"])
            image = images[entry["image_id"]]
            entry["segmentation"] = [polygon] if number % 2 else run_lengths(polygon, image["height"], image["width"])
        file.write_text(json.dumps(content), encoding="utf-8")
    return names


def outline(round_: bool, left: float, top: float, width: float, height: float) -> list[float]:
    """Return the polygon of a rectangle or an ellipse in a box, corner by corner: x, y, x, y."""
    if not round_:
        return [left, top, left + width, top, left + width, top + height, left, top + height]
    turns = [2 * math.pi * corner / _CORNERS for corner in range(_CORNERS)]
    return [
        value
        for turn in turns
        for value in (left + width * (1 + math.cos(turn)) / 2, top + height * (1 + math.sin(turn)) / 2)
    ]


def run_lengths(polygon: list[float], height: int, width: int) -> dict[str, Any]:
    """Return the inside of a polygon as uncompressed run lengths, down the columns, beginning with the outside."""
    from PIL import Image, ImageDraw

    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon(polygon, fill=1)
    pixels = np.asarray(mask, dtype=np.uint8).ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels, prepend=0)).tolist()
    return {"size": [height, width], "counts": np.diff([0, *changes, len(pixels)]).tolist()}
