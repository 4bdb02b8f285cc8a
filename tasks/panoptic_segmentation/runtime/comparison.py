"""Compare the native and the deployed segment maps of a panoptic segmenter, pixel by pixel; see `crosscheck`.

Both folders hold result.csv with the columns img_name, segment_map (a path in the folder), segment_id, pred_label,
pred_score, area, and for each image a row of segment 0, the pixels of no segment, before those of its segments. Two
segments of one label are counterparts when they overlap by more than half (intersection over union). The figures are

    agreement       the part of the pixels, of all images, that belong to counterparts or in both maps to no segment
    max_abs_diff    the largest difference of two counterparts' scores

    precision   agreement
    FP32        at least 0.99
    FP16        at least 0.95

Where the score of a query is near the threshold, rounding decides whether there is a segment.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = ["img_name", "segment_map", "segment_id", "pred_label", "pred_score", "area"]
LIMITS = {"FP32": 0.99, "FP16": 0.95}
WORDS = ["of the pixels in the same segments", "largest difference of a score"]
FACTORS = np.array([1, 256, 65536])  # of red, green and blue


@dataclass
class Prediction:
    """What the rows of an image say.

    Attributes:
        segment_map: file with the id of the segment of each pixel.
        areas: number of pixels of each segment, segment 0 first.
        labels: class of each segment.
        scores: score of each segment.
    """

    segment_map: Path
    areas: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def read(self) -> np.ndarray:
        """Return the ids of the pixels (H, W).

        Raises:
            ValueError: there is no such map, or it does not have the pixels that the rows count.
        """
        try:
            with Image.open(self.segment_map) as file:
                ids = np.array(file, dtype=np.int64) @ FACTORS
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot read the segment map {self.segment_map}") from error
        if np.bincount(ids.ravel(), minlength=len(self.areas)).tolist() != self.areas:
            raise ValueError(f"the segment map {self.segment_map} does not hold the pixels that result.csv counts")
        return ids


def read_results(folder: Path) -> dict[str, Prediction]:
    """Return the predictions by image name.

    Raises:
        ValueError: no such file, wrong columns, something that is no number, or rows in another order.
    """
    path = folder / "result.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}")
    images: dict[str, Prediction] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(COLUMNS)}")
        try:
            segment_id, score, area = int(row[2]), float(row[4]), int(row[5])
        except ValueError as error:
            raise ValueError(f"{path}:{number} holds something that is not a number") from error
        if not math.isfinite(score):
            raise ValueError(f"{path}:{number} holds a number that is not finite")
        image = images.setdefault(row[0], Prediction(folder / row[1]))
        if segment_id != len(image.areas):
            raise ValueError(f"{path}:{number} is of segment {segment_id}, where {len(image.areas)} comes next")
        image.labels.append(row[3])
        image.scores.append(score)
        image.areas.append(area)
    return images


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return {"images", "agreement" (0..1), "max_abs_diff", "precision", "words", "problems"} of two folders.

    Raises:
        ValueError: the folders cannot be compared (see read_results), or differ in images or their sizes.
    """
    left, right = read_results(native), read_results(deployed)
    if left.keys() != right.keys():
        example = sorted(left.keys() ^ right.keys())[0]
        raise ValueError(f"the two result files do not hold the same images, for example {example}")
    if not left:
        raise ValueError("the result files hold no image")
    equal = total = 0
    difference = 0.0
    for name, one in left.items():
        other = right[name]
        ids, others = one.read(), other.read()
        if ids.shape != others.shape:
            raise ValueError(f"the segment maps of {name} are of different sizes: {ids.shape} and {others.shape}")
        shape = (len(one.areas), len(other.areas))
        common = np.bincount((ids * shape[1] + others).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
        total += ids.size
        equal += int(common[0, 0])
        overlaps = common / np.maximum(common.sum(1)[:, None] + common.sum(0)[None] - common, 1)
        for a, b in zip(*np.nonzero(overlaps[1:, 1:] > 0.5), strict=True):
            if one.labels[a + 1] == other.labels[b + 1]:
                equal += int(common[a + 1, b + 1])
                difference = max(difference, abs(one.scores[a + 1] - other.scores[b + 1]))
    agreement = equal / total
    problems = []
    if agreement < LIMITS[precision]:
        problems.append(f"only {agreement:.2%} {WORDS[0]} ({precision} needs {LIMITS[precision]:.1%})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": difference,
        "precision": precision,
        "words": WORDS,
        "problems": problems,
    }
