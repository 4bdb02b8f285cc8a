"""Write a tiny segmentation dataset that a model can learn: coloured shapes on grey. See `dataset`.

FOLDER gets classes.txt (line order is class index), train/, val/, test/ with PNGs, and masks/train, masks/val and
masks/test with the class index of each pixel. Class 0 is the background. The pictures are a little larger than asked
for, so that resizing is exercised, and the same on every run.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES_PER_SPLIT = {"train": 32, "val": 12, "test": 16}
SHAPES_PER_IMAGE = 3


def picture(
    labels: list[int], classes: int, height: int, width: int, channels: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a uint8 picture, (height, width) for one channel, else (height, width, 3), and its mask (height, width).

    The hue (the grey level for one channel) of a shape and its kind, box, disc or ring, follow from its label; its
    place, its size and the noise are random. Later shapes cover earlier ones.
    """
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    ys, xs = ys / height, xs / width
    image = np.full((height, width, channels), 0.15)
    mask = np.zeros((height, width), dtype=np.uint16)
    for label in labels:
        dy, dx = ys - rng.uniform(0.2, 0.8), xs - rng.uniform(0.2, 0.8)
        radius, size = np.hypot(dy, dx), rng.uniform(0.15, 0.3)
        box = np.maximum(np.abs(dy), np.abs(dx)) < size
        shape = (box, radius < size, np.abs(radius - size) < 0.08)[label % 3]
        share = label / classes
        image[shape] = colorsys.hsv_to_rgb(share, 0.9, 0.95) if channels == 3 else 0.3 + 0.7 * share
        mask[shape] = label
    image = ((image + rng.normal(0, 0.04, image.shape)).clip(0, 1) * 255).astype(np.uint8)
    return image if channels == 3 else image[..., 0], mask


def write_dataset(folder: Path, classes: int, height: int, width: int, channels: int = 3) -> list[str]:
    """Write the dataset and return its class names.

    Args:
        folder: made when missing.
        classes: number of classes with the background, at least 2.
        height: pixels the model takes; the pictures are an eighth larger.
        width: as height.
        channels: 1 writes grey pictures, 3 colour.
    """
    names = ["background", *(f"shape_{label:02d}" for label in range(1, classes))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    rng = np.random.default_rng(0)
    size = (height + height // 8, width + width // 8)
    drawn = 0
    for split, count in IMAGES_PER_SPLIT.items():
        images, masks = folder / split, folder / "masks" / split
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            labels = [1 + (drawn + place) % (classes - 1) for place in range(SHAPES_PER_IMAGE)]
            drawn += SHAPES_PER_IMAGE
            image, mask = picture(labels, classes, *size, channels, rng)
            Image.fromarray(image).save(images / f"{index:03d}.png")
            Image.fromarray(mask.astype(np.uint8) if classes <= 256 else mask).save(masks / f"{index:03d}.png")
    return names
