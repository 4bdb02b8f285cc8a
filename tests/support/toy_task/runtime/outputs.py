"""The output of a depth estimator: a map; see `task_code`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

LABEL_GAPS = False
DYNAMIC_SIZE = False
TOLERANCE = 1e-4


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a class is none: every class of the mapping is one."""
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return the depths (N, 1, H, W)."""
    return (model(pixel_values=images, return_dict=True, **kwargs).predicted_depth.unsqueeze(1),)


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference of a depth and the largest depth."""
    return float(numpy.abs(got[0] - expected[0]).max()), float(numpy.abs(expected[0]).max())


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the pixels whose depth differs by less than a hundredth of the largest."""
    return float((numpy.abs(got[0] - expected[0]) <= 0.01 * numpy.abs(expected[0]).max()).mean())


def measure(model: Any, images: Any) -> dict[str, Any]:
    """Return what the templates need to know: nothing more."""
    return {}


def losses(model: Any, images: Any, measured: dict[str, Any]) -> Iterator[Any]:
    """Return the depths, which our loss is computed from."""
    yield run(model, images)[0]
