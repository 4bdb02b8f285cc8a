"""Pictures of handwritten digits pasted on canvases, with the boxes and masks that follow from the pasting.

The digits are scikit-learn's, 1,797 pictures of 8x8 pixels, enlarged to random sizes and put at random places on dark
noise. Digits of one split are never pasted into another one, and everything is the same on every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_NOISE = 40  # brightest pixel of the background
_GRASS = 60  # how much brighter the green of grass is
_INK = 0.3  # least brightness of a pixel that belongs to a digit
_OVERLAP = 0.1  # largest part of a digit's box that another one may cover
_ATTEMPTS = 20


@dataclass
class Scene:
    """One picture.

    Attributes:
        pixels: (side, side, 3), uint8.
        labels: digit of each object.
        boxes: left, top, width and height in pixels of each object: those of its ink.
        mask: (side, side), uint8: 0 for the background, digit + 1 for the ink of a digit.
        objects: (side, side), uint8: 0 for the background, and for the ink of an object its place in `labels` + 1.
        horizon: row where grass begins below the night; `side` where there is none.
    """

    pixels: np.ndarray
    labels: list[int]
    boxes: list[list[int]]
    mask: np.ndarray
    objects: np.ndarray
    horizon: int


def split_digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return pictures (N, 8, 8) in 0..1 and labels (N,) of the splits train, val and test."""
    digits = load_digits()
    images = digits.images / 16.0
    train, rest = train_test_split(np.arange(len(images)), test_size=0.3, stratify=digits.target, random_state=0)
    val, test = train_test_split(rest, test_size=2 / 3, stratify=digits.target[rest], random_state=0)
    parts = {"train": train, "val": val, "test": test}
    return {name: (images[part], digits.target[part]) for name, part in parts.items()}


def make_scenes(
    split: str, count: int, side: int, sizes: tuple[int, int], most: int, *, grass: bool = False
) -> list[Scene]:
    """Return scenes of one split.

    Args:
        split: "train", "val" or "test".
        count: how many.
        side: height and width of a scene in pixels.
        sizes: smallest and largest side of a pasted digit in pixels.
        most: largest number of digits in a scene; there is at least one.
        grass: whether the lower part of the background is grass.
    """
    images, targets = split_digits()[split]
    rng = np.random.default_rng(["train", "val", "test"].index(split))
    return [_scene(images, targets, side, sizes, int(rng.integers(1, most + 1)), grass, rng) for _ in range(count)]


def _scene(
    images: np.ndarray,
    targets: np.ndarray,
    side: int,
    sizes: tuple[int, int],
    count: int,
    grass: bool,
    rng: np.random.Generator,
) -> Scene:
    nothing = np.zeros((side, side), dtype=np.uint8)
    pixels = rng.integers(0, _NOISE, (side, side, 3), dtype=np.uint8)
    horizon = int(rng.integers(side // 3, 2 * side // 3)) if grass else side
    pixels[horizon:, :, 1] += _GRASS
    scene = Scene(pixels, [], [], nothing, nothing.copy(), horizon)
    for _ in range(count):
        index = int(rng.integers(len(images)))
        for _ in range(_ATTEMPTS):
            extent = int(rng.integers(sizes[0], sizes[1] + 1))
            left, top = (int(value) for value in rng.integers(0, side - extent + 1, 2))
            if _is_free(scene.boxes, left, top, extent):
                _paste(scene, images[index], int(targets[index]), left, top, extent)
                break
    return scene


def _is_free(boxes: list[list[int]], left: int, top: int, extent: int) -> bool:
    for x, y, width, height in boxes:
        across = min(x + width, left + extent) - max(x, left)
        down = min(y + height, top + extent) - max(y, top)
        if across > 0 and down > 0 and across * down > _OVERLAP * min(width * height, extent**2):
            return False
    return True


def _paste(scene: Scene, digit: np.ndarray, label: int, left: int, top: int, extent: int) -> None:
    """Paste one digit; its box and its masks are those of its ink."""
    enlarged = Image.fromarray((digit * 255).astype(np.uint8)).resize((extent, extent), Image.Resampling.BICUBIC)
    brightness = np.asarray(enlarged, dtype=np.float32) / 255.0
    ink = brightness > _INK
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    part = (slice(top, top + extent), slice(left, left + extent))
    lit = np.maximum(scene.pixels[part].astype(np.float32), brightness[..., None] * 255.0)
    scene.pixels[part] = lit.astype(np.uint8)
    scene.mask[part][ink] = label + 1
    scene.labels.append(label)
    scene.objects[part][ink] = len(scene.labels)
    scene.boxes.append(
        [int(left + columns[0]), int(top + rows[0]), int(np.ptp(columns) + 1), int(np.ptp(rows) + 1)]
    )
