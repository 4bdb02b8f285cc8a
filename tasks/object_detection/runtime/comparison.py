"""Compare the native and the deployed result.csv of a detector, as matched sets of each image; see `crosscheck`.

Both files have the columns img_name, pred_label, pred_score, left, top, right, bottom, and many rows for an image.
Detections of one image and label are matched one to one so that scores and boxes differ as little as possible; a pair
counts as the same detection when its scores and its edges (as a part of the largest coordinate) differ by no more than
"same" below. The figures are

    agreement       the part of the detections, of both files, that have a counterpart
    max_abs_diff    the largest difference of an edge of two counterparts, in pixels

    precision   same     agreement       largest difference                          of scores from
    FP32        0.02     at least 0.995  1 pixel                                     0
    FP16        0.10     at least 0.95   8 pixels, or 0.01 of the largest coordinate 0.05, or half of the best

In half precision proposals of next to no score change places, and a box of one may be matched with another's: such
detections are counted in the agreement and not in the difference.

What is left over at the end of a list counts for nothing where its score is, within "same", the last one that was kept:
another detection of that score stood in its place.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy
from scipy.optimize import linear_sum_assignment

COLUMNS = ["img_name", "pred_label", "pred_score", "left", "top", "right", "bottom"]
LIMITS = {"FP32": (0.02, 0.995, 1.0, 0.0, 0.0), "FP16": (0.10, 0.95, 8.0, 0.01, 0.05)}
WORDS = ["of the detections found again", "largest difference of an edge in pixels"]

Detections = dict[str, dict[str, numpy.ndarray]]


def read_results(path: Path) -> Detections:
    """Return, by image name and label, scores and edges of the detections: arrays of shape (N, 5).

    Raises:
        ValueError: no such file, wrong columns, or a number that is not finite.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}")
    found: dict[str, dict[str, list[list[float]]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(COLUMNS)}")
        try:
            values = [float(value) for value in row[2:]]
        except ValueError as error:
            raise ValueError(f"{path}:{number} holds something that is not a number") from error
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{path}:{number} holds a number that is not finite")
        found.setdefault(row[0], {}).setdefault(row[1], []).append(values)
    return {
        name: {label: numpy.array(values) for label, values in labels.items()} for name, labels in found.items()
    }


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return {"images", "agreement" (0..1), "max_abs_diff", "precision", "words", "problems"} of two folders.

    Raises:
        ValueError: the files cannot be compared (see read_results), hold nothing, or differ in images.
    """
    left, right = read_results(native / "result.csv"), read_results(deployed / "result.csv")
    if left.keys() != right.keys():
        example = sorted(left.keys() ^ right.keys())[0]
        raise ValueError(f"the two result files do not hold the same images, for example {example}")
    if not left:
        raise ValueError("the result files hold no detection")
    same, least, most, part, floor = LIMITS[precision]
    floor = min(floor, max(float(rows[:, 0].max()) for labels in left.values() for rows in labels.values()) / 2)
    extent = max(float(rows[:, 1:].max()) for labels in left.values() for rows in labels.values())
    total, found, differences = 0, 0, [0.0]
    for name in left:
        last = max(min(rows[:, 0].min() for rows in side[name].values()) for side in (left, right))
        for label in left[name].keys() | right[name].keys():
            one, other = (side[name].get(label, numpy.zeros((0, 5))) for side in (left, right))
            pairs = _pairs(one, other, same, extent)
            edges = [one[a, 1:] - other[b, 1:] for a, b in pairs if one[a, 0] >= floor]
            differences += [float(numpy.abs(difference).max()) for difference in edges]
            for rows, matched in ((one, {a for a, _ in pairs}), (other, {b for _, b in pairs})):
                known = [index in matched for index in range(len(rows))]
                counted = [hit for hit, row in zip(known, rows, strict=True) if hit or row[0] > last + same]
                total += len(counted)
                found += sum(counted)
    agreement = found / total if total else 1.0
    limit = max(most, part * extent)
    problems = []
    if agreement < least:
        problems.append(f"only {agreement:.2%} {WORDS[0]} ({precision} needs {least:.1%})")
    if max(differences) > limit:
        found = f"edges of boxes differ by up to {max(differences):.3g} pixels"
        problems.append(f"{found} ({precision} allows {limit:.3g})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": max(differences),
        "precision": precision,
        "words": WORDS,
        "problems": problems,
    }


def _pairs(one: numpy.ndarray, other: numpy.ndarray, same: float, extent: float) -> list[tuple[int, int]]:
    """Return the indices of the detections that are counterparts."""
    scale = numpy.array([1.0, extent, extent, extent, extent])
    distances = numpy.abs(one[:, None] / scale - other[None] / scale).max(axis=2, initial=0.0)
    # What is too far apart is not matched at all, rather than drawn into the sum that is made small.
    matched = zip(*linear_sum_assignment(numpy.minimum(distances, same * 10)), strict=True)
    return [(int(a), int(b)) for a, b in matched if distances[a, b] <= same]
