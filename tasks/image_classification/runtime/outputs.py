"""The outputs of an image classifier: logits, one row for each image; see `task_code`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy

LABEL_GAPS = False
DYNAMIC_SIZE = False


def refuse(cls: Any) -> str | None:
    """Say why a classifier does not take images: transformers maps some to image classification all the same."""
    names = inspect.signature(cls.forward).parameters
    if "input_ids" in names:
        return f"{cls.__name__} works on tokens (input_ids), as a language model does, not on images"
    if "pixel_attention_mask" in names:
        return f"{cls.__name__} takes patches in any number, with a mask, and not images of one size"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return the logits (N, classes): the first output, whatever the architecture calls it."""
    return (model(pixel_values=images, return_dict=True, **kwargs)[0],)


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference of a logit and the largest logit."""
    return float(numpy.abs(got[0] - expected[0]).max()), float(numpy.abs(expected[0]).max())
