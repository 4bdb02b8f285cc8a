"""Compare the native and the deployed depths of an estimator, pixel by pixel; see `crosscheck`.

Both folders hold result.csv with the columns img_name, depth (a path in the folder), min_depth, mean_depth and
max_depth, and must hold the same images. Pixels whose depth is the same to a hundredth, or to a thousandth of the
image's largest, over all images:

    FP32        at least 0.995
    FP16        at least 0.98
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

LIMITS = {"FP32": 0.995, "FP16": 0.98}
WORDS = ["pixels of the same depth (to 1 %)", "largest difference of a depth, as a part of the image's largest"]
COLUMNS = ["img_name", "depth", "min_depth", "mean_depth", "max_depth"]
SAME = 0.01  # of a depth
SAME_OF_ALL = 0.001  # of the image's largest depth
ROUNDED = 1e-3  # of the image's largest depth: what numbers in result.csv may be off by


def read_results(folder: Path) -> dict[str, np.ndarray]:
    """Return the depths by image name.

    Raises:
        ValueError: no such file, wrong columns, an image listed twice, or a map that is missing or does not hold what
            its row says.
    """
    path = folder / "result.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}")
    images: dict[str, np.ndarray] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS):
            raise ValueError(f"{path}:{number} has {len(row)} columns, the header {len(COLUMNS)}")
        if row[0] in images:
            raise ValueError(f"{path}:{number} lists {row[0]} a second time")
        images[row[0]] = _read_map(folder / row[1], row[2:])
    return images


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return {"images", "agreement" (0..1), "max_abs_diff", "precision", "words", "problems"} of two folders.

    Raises:
        ValueError: the folders cannot be compared (see read_results), or differ in images or their sizes.
    """
    left, right = read_results(native), read_results(deployed)
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
    for name, depth in left.items():
        other = right[name]
        if depth.shape != other.shape:
            raise ValueError(f"the depths of {name} are of different sizes: {depth.shape} and {other.shape}")
        gaps, largest = np.abs(depth - other), max(float(np.abs(depth).max()), 1e-9)
        equal += int((gaps <= np.maximum(SAME * np.abs(depth), SAME_OF_ALL * largest)).sum())
        total += depth.size
        difference = max(difference, float(gaps.max()) / largest)
    agreement = equal / total
    problems = []
    if agreement < LIMITS[precision]:
        problems.append(f"only {agreement:.2%} of the pixels have the same depth "
                        f"({precision} needs {LIMITS[precision]:.1%})")
    return {
        "images": len(left),
        "agreement": agreement,
        "max_abs_diff": difference,
        "precision": precision,
        "words": WORDS,
        "problems": problems,
    }


def _read_map(path: Path, numbers: list[str]) -> np.ndarray:
    """Return the depths of one image, float64 of shape (height, width)."""
    try:
        depth = np.load(path, allow_pickle=False).astype(np.float64)
        said = [float(number) for number in numbers]
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the depths {path}") from error
    held = [depth.min(), depth.mean(), depth.max()]
    if depth.ndim != 2 or not np.allclose(held, said, rtol=ROUNDED, atol=ROUNDED * max(1e-9, np.abs(depth).max())):
        raise ValueError(f"the depths {path} are not those that result.csv describes")
    return depth
