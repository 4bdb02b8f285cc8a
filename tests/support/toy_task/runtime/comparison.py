"""Compare the mean depths that two inferences wrote; see `crosscheck`."""

from __future__ import annotations

import csv
from pathlib import Path


def compare(native: Path, deployed: Path, precision: str = "FP32") -> dict[str, object]:
    """Return the largest difference of two result.csv, and what is wrong with it."""
    sides = []
    for folder in (native, deployed):
        with (folder / "result.csv").open(newline="", encoding="utf-8") as file:
            sides.append({row["img_name"]: float(row["mean_depth"]) for row in csv.DictReader(file)})
    left, right = sides
    if left.keys() != right.keys():
        raise ValueError("the two result files do not hold the same images")
    worst = max(abs(left[name] - right[name]) for name in left)
    limit = {"FP32": 1e-3, "FP16": 1e-1}[precision] * max(1.0, *map(abs, left.values()))
    return {
        "images": len(left),
        "agreement": sum(abs(left[name] - right[name]) <= limit for name in left) / len(left),
        "max_abs_diff": worst,
        "precision": precision,
        "words": ["of the depths agree", "largest difference"],
        "problems": [] if worst <= limit else [f"depths differ by {worst:.3g}"],
    }
