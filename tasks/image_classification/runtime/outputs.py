"""The outputs of an image classifier: logits, one row for each image; see `task_code`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy

from tao_hf.in_runtime.probe.config import classes_of

LABEL_GAPS = False
DYNAMIC_SIZE = False
TOLERANCE = 1e-4


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a model is no classifier of images: transformers maps some to image classification all the same."""
    names = inspect.signature(cls.forward).parameters
    if "input_ids" in names:
        return f"{cls.__name__} works on tokens (input_ids), as a language model does, not on images"
    if "pixel_attention_mask" in names:
        return f"{cls.__name__} takes patches in any number, with a mask, and not images of one size"
    problem = config.get("problem_type")
    if problem == "multi_label_classification":
        return (
            "it gives an image several classes at once (problem_type multi_label_classification in config.json), and "
            "TAO's classifiers give it exactly one"
        )
    if problem == "regression":
        return "it estimates numbers (problem_type regression in config.json) and has no classes"
    if classes_of(config) == 1:
        return "its head has one output, a regression head, which estimates a number and has no classes"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return the logits (N, classes): the first output, whatever the architecture calls it."""
    return (model(pixel_values=images, return_dict=True, **kwargs)[0],)


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference of a logit and the largest logit."""
    return float(numpy.abs(got[0] - expected[0]).max()), float(numpy.abs(expected[0]).max())


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the images that get the same class."""
    return float((got[0].argmax(1) == expected[0].argmax(1)).mean())
