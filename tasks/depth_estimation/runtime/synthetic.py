"""Write a tiny dataset of depths that a model can learn: boxes before a wall, the nearer the brighter. See `dataset`.

FOLDER gets train/, val/, test/ with PNGs, and depth/train, depth/val and depth/test with PNGs of 16 bits that hold
millimetres; 0 is unknown. The pictures are a little larger than asked for, so that resizing is exercised, and the same
on every run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

IMAGES_PER_SPLIT = {"train": 32, "val": 12, "test": 16}
BOXES_PER_IMAGE = 3
WALL = 4.0  # metres
NEAREST, FARTHEST = 1.0, 3.0  # metres
UNKNOWN = 0.05  # of a picture's rows


def picture(height: int, width: int, channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a uint8 picture, (height, width) for one channel, else (height, width, 3), and its depths in metres.

    What is near is bright and covers what is behind it; place and size of the boxes and the noise are random.
    """
    depth = np.full((height, width), WALL)
    ys, xs = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    for distance in sorted(rng.uniform(NEAREST, FARTHEST, BOXES_PER_IMAGE), reverse=True):
        size = rng.uniform(0.15, 0.3)
        dy, dx = np.abs(ys - rng.uniform(0.2, 0.8)), np.abs(xs - rng.uniform(0.2, 0.8))
        depth[np.maximum(dy, dx) < size] = distance
    brightness = 0.9 - 0.2 * depth
    image = np.repeat(brightness[..., None], channels, axis=2)
    image = ((image + rng.normal(0, 0.02, image.shape)).clip(0, 1) * 255).astype(np.uint8)
    depth[: max(1, int(UNKNOWN * height))] = 0
    return image if channels == 3 else image[..., 0], depth


def write_dataset(folder: Path, classes: int, height: int, width: int, channels: int = 3) -> list[str]:
    """Write the dataset; there are no class names to return.

    Args:
        folder: made when missing.
        classes: 0.
        height: pixels the model takes; the pictures are an eighth larger.
        width: as height.
        channels: 1 writes grey pictures, 3 colour.
    """
    rng = np.random.default_rng(0)
    size = (height + height // 8, width + width // 8)
    for split, count in IMAGES_PER_SPLIT.items():
        images, depths = folder / split, folder / "depth" / split
        images.mkdir(parents=True, exist_ok=True)
        depths.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, depth = picture(*size, channels, rng)
            Image.fromarray(image).save(images / f"{index:03d}.png")
            Image.fromarray((depth * 1000).round().astype(np.uint16)).save(depths / f"{index:03d}.png")
    return []
