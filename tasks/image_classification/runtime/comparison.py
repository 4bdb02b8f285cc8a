"""Compare the native and the deployed result.csv of a classifier, image by image; see `crosscheck`.

Both files have the columns img_name, one probability per class, pred_label, pred_score. They must hold the same images
and the same classes. What is compared are the logits: probabilities near 0 and 1 hide differences that matter for other
images, and those of a thousand classes are all near 0. The logarithm of a softmax is the logit but for a constant in
each image, which changes no prediction and which centring removes; nine digits of a probability keep nine decimals.
The scale of the outputs is the largest absolute centred logit of the native file, at least 1:

    precision   labels that agree   largest absolute difference of two logits
    FP32        at least 0.995      1e-3 x scale
    FP16        at least 0.98       3e-2 x scale  (half precision keeps 11 bits; errors add up over the layers)

One image may always differ: a near tie decides itself either way, and few images make one of them a large part.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

LIMITS = {"FP32": (0.995, 1e-3), "FP16": (0.98, 3e-2)}
WORDS = ["same label", "largest difference of two raw outputs"]
FIRST, LAST = ["img_name"], ["pred_label", "pred_score"]
SUM = 1e-6  # how far the probabilities of an image may be from 1 in all
LEAST = 5e-324  # the least number above 0; what is below has become 0


def read_results(path: Path) -> tuple[list[str], dict[str, tuple[str, list[float]]]]:
    """Return the class columns and, by image name, the predicted label and the centred logits.

    Raises:
        ValueError: no such file, wrong columns, numbers that are no probabilities, or an image listed twice.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    header = rows[0] if rows else []
    if len(header) < 4 or header[:1] != FIRST or header[-2:] != LAST:
        raise ValueError(f"{path} must have the columns img_name, one per class, pred_label, pred_score")
    images: dict[str, tuple[str, list[float]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(header)}")
        if row[0] in images:
            raise ValueError(f"{path}:{number} lists {row[0]} a second time")
        try:
            probabilities = [float(value) for value in row[1:-2]]
        except ValueError as error:
            raise ValueError(f"{path}:{number} holds something that is not a number") from error
        if not all(map(math.isfinite, probabilities)):
            raise ValueError(f"{path}:{number} holds a number that is not finite")
        if min(probabilities) < 0 or abs(sum(probabilities) - 1) > SUM:
            raise ValueError(f"{path}:{number} holds numbers that are not the probabilities of classes")
        images[row[0]] = (row[-2], centred_logits(probabilities))
    return header[1:-2], images


def centred_logits(probabilities: list[float]) -> list[float]:
    """Return the logits whose softmax the probabilities are, their mean at 0."""
    logarithms = [math.log(max(value, LEAST)) for value in probabilities]
    mean = sum(logarithms) / len(logarithms)
    return [value - mean for value in logarithms]


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return {"images", "agreement" (0..1), "max_abs_diff", "precision", "scale", "words", "problems"} of two folders.

    Raises:
        ValueError: the files cannot be compared (see read_results), or differ in classes or images.
    """
    classes, left = read_results(native / "result.csv")
    other_classes, right = read_results(deployed / "result.csv")
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
    differing = sum(left[name][0] != right[name][0] for name in left)
    agreement = 1 - differing / len(left)
    difference = max(abs(a - b) for name in left for a, b in zip(left[name][1], right[name][1], strict=True))
    scale = max(1.0, *(abs(value) for _, logits in left.values() for value in logits))
    least, most = LIMITS[precision][0], LIMITS[precision][1] * scale
    problems = []
    if agreement < least and differing > 1:
        problems.append(f"only {agreement:.2%} of the labels agree ({precision} needs {least:.1%})")
    if difference > most:
        problems.append(f"outputs differ by up to {difference:.3g} ({precision} allows {most:.3g})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": difference,
        "precision": precision,
        "scale": scale,
        "words": WORDS,
        "problems": problems,
    }
