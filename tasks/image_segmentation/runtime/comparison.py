"""Compare the native and the deployed masks of a semantic segmenter, pixel by pixel; see `crosscheck`.

Both folders hold result.csv with the columns img_name, mask (a path in the folder) and one per class with its number of
pixels. They must hold the same images and the same classes. Pixels that have the same class in both masks, over all
images:

    FP32        at least 0.995
    FP16        at least 0.98

The rest are pixels between two classes, where a rounding decides.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

LIMITS = {"FP32": 0.995, "FP16": 0.98}
WORDS = ["pixels of the same class", "largest difference of a class's share of an image"]
FIRST = ["img_name", "mask"]


@dataclass(frozen=True)
class Prediction:
    """What one row says of an image.

    Attributes:
        mask: file with the class index of each pixel.
        pixels: number of pixels of each class.
    """

    mask: Path
    pixels: list[int]

    def read(self) -> np.ndarray:
        """Return the mask.

        Raises:
            ValueError: there is no such mask, or it does not have the pixels that the row counts.
        """
        try:
            with Image.open(self.mask) as file:
                mask = np.array(file)
        except OSError as error:
            raise ValueError(f"cannot read the mask {self.mask}") from error
        if mask.ndim != 2 or np.bincount(mask.ravel(), minlength=len(self.pixels)).tolist() != self.pixels:
            raise ValueError(f"the mask {self.mask} does not hold the pixels that result.csv counts")
        return mask


def read_results(folder: Path) -> tuple[list[str], dict[str, Prediction]]:
    """Return the class columns and, by image name, the predictions.

    Raises:
        ValueError: no such file, wrong columns, something that is no number of pixels, or an image listed twice.
    """
    path = folder / "result.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    header = rows[0] if rows else []
    if len(header) < 3 or header[:2] != FIRST:
        raise ValueError(f"{path} must have the columns img_name, mask, and one per class")
    images: dict[str, Prediction] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(header)}")
        if row[0] in images:
            raise ValueError(f"{path}:{number} lists {row[0]} a second time")
        try:
            pixels = [int(value) for value in row[2:]]
        except ValueError as error:
            raise ValueError(f"{path}:{number} holds something that is not a number of pixels") from error
        images[row[0]] = Prediction(folder / row[1], pixels)
    return header[2:], images


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return {"images", "agreement" (0..1), "max_abs_diff", "precision", "words", "problems"} of two folders.

    Raises:
        ValueError: the folders cannot be compared (see read_results), or differ in classes, images or their sizes.
    """
    classes, left = read_results(native)
    other_classes, right = read_results(deployed)
    if classes != other_classes:
        raise ValueError("the two result files do not have the same class columns in the same order")
    if left.keys() != right.keys():
        only_left, only_right = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
        example = (only_left or only_right)[0]
        raise ValueError(
            f"the two result files do not hold the same images: {len(only_left)} only native, "
            f"{len(only_right)} only deployed, for example {example}"
        )
    if not left:
        raise ValueError("the result files hold no image")
    equal = total = 0
    difference = 0.0
    for name, prediction in left.items():
        mask, other = prediction.read(), right[name].read()
        if mask.shape != other.shape:
            raise ValueError(f"the masks of {name} are of different sizes: {mask.shape} and {other.shape}")
        equal += int((mask == other).sum())
        total += mask.size
        gaps = np.abs(np.array(prediction.pixels) - np.array(right[name].pixels))
        difference = max(difference, float(gaps.max()) / mask.size)
    agreement = equal / total
    problems = []
    if agreement < LIMITS[precision]:
        problems.append(f"only {agreement:.2%} of the pixels have the same class "
                        f"({precision} needs {LIMITS[precision]:.1%})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": difference,
        "precision": precision,
        "words": WORDS,
        "problems": problems,
    }
