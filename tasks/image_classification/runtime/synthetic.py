"""Write a tiny classification dataset that a model can learn: one colour and shape per class. See `dataset`.

FOLDER gets classes.txt (line order is class index) and train/, val/, test/ with one folder of PNGs per class. The
pictures are a little larger than asked for, so that resizing is exercised, and the same on every run.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES_PER_CLASS = {"train": 8, "val": 4, "test": 4}


def picture(label: int, classes: int, height: int, width: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Return a uint8 picture, (height, width) for one channel, else (height, width, 3).

    The hue (the grey level for one channel) and the kind of shape, bar, column, disc or ring, follow from the label;
    its place, its size and the noise are random.
    """
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    ys, xs = ys / height - rng.uniform(0.4, 0.6), xs / width - rng.uniform(0.4, 0.6)
    radius, size = np.hypot(ys, xs), rng.uniform(0.2, 0.3)
    shape = (np.abs(ys) < size / 2, np.abs(xs) < size / 2, radius < size, np.abs(radius - size) < 0.08)[label % 4]
    share = label / classes
    colour = np.array(colorsys.hsv_to_rgb(share, 0.9, 0.95) if channels == 3 else [0.4 + 0.6 * share])
    image = np.where(shape[..., None], colour, 0.1 + 0.3 * colour) + rng.normal(0, 0.04, (height, width, len(colour)))
    image = (image.clip(0, 1) * 255).astype(np.uint8)
    return image if channels == 3 else image[..., 0]


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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    rng = np.random.default_rng(0)
    size = (height + height // 8, width + width // 8)
    for split, count in IMAGES_PER_CLASS.items():
        for label, name in enumerate(names):
            target = folder / split / name
            target.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.fromarray(picture(label, classes, *size, channels, rng)).save(target / f"{index:03d}.png")
    return names
