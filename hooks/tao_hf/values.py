"""Says in one sentence what is wrong with the value of an answer, whether typed, given with ``--data`` or edited."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_hf import context
from tao_hf.rendering import one_line

ROOT = Path(__file__).resolve().parent.parent.parent
MAX_PIXELS = 8192
MAX_CLASSES = 1_000_000


def image_size_problem(image_size: Any, findings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an input size in pixels, `None` when a model with these findings can have it."""
    try:
        height, width = context.height_and_width(image_size)
    except (TypeError, ValueError):
        return "image_size must be one number, or [height, width], in pixels."
    if isinstance(image_size, bool) or not (1 <= height <= MAX_PIXELS and 1 <= width <= MAX_PIXELS):
        return f"image_size must be between 1 and {MAX_PIXELS} pixels, not {height} x {width}."
    patch = findings.get("patch_size")
    if patch and (height % patch or width % patch):
        return f"image_size must be a multiple of the model's patch size, {patch} pixels, not {height} x {width}."
    return None


def num_labels_problem(num_labels: Any) -> str | None:
    """Return what is wrong with a number of classes, or `None`."""
    if not isinstance(num_labels, int) or isinstance(num_labels, bool) or not 2 <= num_labels <= MAX_CLASSES:
        return f"num_labels must be a whole number of classes, at least 2, not {one_line(num_labels)}."
    return None


def strategy_problem(strategy: Any) -> str | None:
    """Return why this version of the template cannot make the backbone so, or `None`."""
    rooms = context.strategy_rooms(ROOT)
    if strategy != "auto" and strategy not in rooms:
        choices = " or ".join(("auto", *rooms))
        return f"strategy={one_line(strategy)} is not part of this version of the template: choose {choices}."
    return None
