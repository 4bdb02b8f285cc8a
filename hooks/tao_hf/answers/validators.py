"""Says in one sentence what is wrong with the value of an answer, whether typed, given with ``--data`` or edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tao_hf.answers.strategy import chosen, size_problem
from tao_hf.base.errors import UserError
from tao_hf.base.text import one_line

MAX_PIXELS = 8192
MAX_CLASSES = 1_000_000


def height_and_width(image_size: Any) -> tuple[int, int]:
    """Return height and width in pixels from an answer: one number or a pair."""
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return int(height), int(width)


def image_size_problem(image_size: Any, findings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an input size in pixels, `None` when a model with these findings can have it."""
    try:
        height, width = height_and_width(image_size)
    except (TypeError, ValueError):
        return "image_size must be one number, or [height, width], in pixels."
    if isinstance(image_size, bool) or not (1 <= height <= MAX_PIXELS and 1 <= width <= MAX_PIXELS):
        return f"image_size must be between 1 and {MAX_PIXELS} pixels, not {height} x {width}."
    patch = findings.get("patch_size")
    overlapping = patch and any(side % patch for side in findings["image_size"])  # then it says nothing about sizes
    if patch and not overlapping and (height % patch or width % patch):
        return f"image_size must be a multiple of the model's patch size, {patch} pixels, not {height} x {width}."
    return None


def num_labels_problem(num_labels: Any, findings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a number of classes, `None` when a model with these findings can have it."""
    if not findings["num_labels"]:
        return "num_labels cannot be chosen: the models of this task have no classes." if num_labels else None
    if not isinstance(num_labels, int) or isinstance(num_labels, bool) or not 2 <= num_labels <= MAX_CLASSES:
        return f"num_labels must be a whole number of classes, at least 2, not {one_line(num_labels)}."
    return None


def backbone_problem(
    strategy: Any, image_size: Any, findings: Mapping[str, Any], proofs: Mapping[str, Any]
) -> str | None:
    """Return why a backbone cannot be made this way or for this input size, or `None`."""
    try:
        used = chosen(proofs, strategy)
    except UserError as error:
        return str(error)
    return size_problem(proofs, used, findings["image_size"], height_and_width(image_size))
