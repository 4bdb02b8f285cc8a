"""Compare the native and the deployed result.csv of an instance segmenter, as matched sets; see `crosscheck`.

Both files have the columns img_name, pred_label, pred_score, left, top, right, bottom, height, width, counts, and many
rows for an image; the last three are the mask, in COCO's run lengths. Instances of one image and label are matched one
to one so that scores and masks differ as little as possible; a pair counts as the same instance when its scores differ
by no more than "score" below and its masks overlap (intersection over union) by at least "overlap". The figures are

    agreement       the part of the instances, of both files, that have a counterpart
    max_abs_diff    the largest part of two counterparts' masks that is not common to both

    precision   score   overlap   agreement
    FP32        0.02    0.90      at least 0.995
    FP16        0.10    0.70      at least 0.95

Instances of next to no score are counted for nothing: what a mask of theirs is, rounding decides. What is left over at
the end of a list counts for nothing either where its score is, within "score", the last one that was kept: another
instance of that score stood in its place.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from scipy.optimize import linear_sum_assignment

COLUMNS = ["img_name", "pred_label", "pred_score", "left", "top", "right", "bottom", "height", "width", "counts"]
LIMITS = {"FP32": (0.02, 0.9, 0.995), "FP16": (0.10, 0.7, 0.95)}
LEAST_SCORE = 0.05  # or half of the best, where all are low
WORDS = ["of the instances found again", "largest part of a mask that differs"]


class Instance(NamedTuple):
    """A row of result.csv: its score, and its mask as run lengths."""

    score: float
    outline: dict[str, Any]


def read_results(path: Path) -> dict[str, dict[str, list[Instance]]]:
    """Return the instances by image name and label.

    Raises:
        ValueError: no such file, wrong columns, or a value that is no number or no mask.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}")
    found: dict[str, dict[str, list[Instance]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(COLUMNS)}")
        try:
            score, *edges = (float(value) for value in row[2:7])
            outline = {"size": [int(row[7]), int(row[8])], "counts": row[9].encode("ascii")}
        except ValueError as error:
            raise ValueError(f"{path}:{number} holds something that is not a number or not a mask") from error
        if not all(map(math.isfinite, (score, *edges))):
            raise ValueError(f"{path}:{number} holds a number that is not finite")
        found.setdefault(row[0], {}).setdefault(row[1], []).append(Instance(score, outline))
    return found


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
        raise ValueError("the result files hold no instance")
    same, overlap, least = LIMITS[precision]
    best = max(instance.score for labels in left.values() for rows in labels.values() for instance in rows)
    floor = min(LEAST_SCORE, best / 2)
    total, found, worst = 0, 0, 0.0
    for name in left:
        last = max(min(row.score for rows in side[name].values() for row in rows) for side in (left, right))
        for label in left[name].keys() | right[name].keys():
            one, other = (side[name].get(label, []) for side in (left, right))
            pairs = _pairs(one, other, same, overlap)
            worst = max([worst, *(apart for *_, apart in pairs)])
            for rows, matched in ((one, {a for a, *_ in pairs}), (other, {b for _, b, _ in pairs})):
                for index, row in enumerate(rows):
                    if index in matched or row.score > max(floor, last + same):
                        total += 1
                        found += index in matched
    agreement = found / total if total else 1.0
    problems = []
    if agreement < least:
        problems.append(f"only {agreement:.2%} {WORDS[0]} ({precision} needs {least:.1%})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": worst,
        "precision": precision,
        "words": WORDS,
        "problems": problems,
    }


def _pairs(one: list[Instance], other: list[Instance], same: float, overlap: float) -> list[tuple[int, int, float]]:
    """Return the indices of the instances that are counterparts, and the part of their masks that differs."""
    from pycocotools import mask

    if not one or not other:
        return []
    crowds = [0] * len(other)
    apart = 1 - mask.iou([row.outline for row in one], [row.outline for row in other], crowds)
    scores = numpy.abs(numpy.array([row.score for row in one])[:, None] - [row.score for row in other])
    far = (apart > 1 - overlap) | (scores > same)
    matched = zip(*linear_sum_assignment(numpy.where(far, 10.0, apart + scores)), strict=True)
    return [(int(a), int(b), float(apart[a, b])) for a, b in matched if not far[a, b]]
