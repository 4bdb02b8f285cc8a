"""The outputs of a semantic segmenter: logits at the resolution of the pictures; see `task_code`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy

from tao_hf.in_runtime.probe.config import classes_of

LABEL_GAPS = True
DYNAMIC_SIZE = True
TOLERANCE = 1e-4
_IGNORE = ("semantic_loss_ignore_index", "loss_ignore_index")
_NO_CLASS = 65535  # a label that a loss must ignore, for no model has that many classes


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a class does not give every pixel of a picture one class."""
    names = inspect.signature(cls.forward).parameters
    if "pixel_values" not in names:
        return f"{cls.__name__} does not take pictures (pixel_values)"
    if "input_ids" in names or "prompt_pixel_values" in names:
        return f"{cls.__name__} takes a prompt beside the picture"
    if "mask_labels" in names:
        return f"{cls.__name__} predicts a set of masks, each with a class, and not one class for each pixel"
    if classes_of(config) == 1:
        return "its head has one output, a score for a pixel of one class, and not one for each of several classes"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return the logits (N, classes, H, W), brought to the size of the images."""
    from torch.nn import functional

    logits = model(pixel_values=images, return_dict=True, **kwargs).logits
    return (functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False),)


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference of a logit and the largest logit."""
    return float(numpy.abs(got[0] - expected[0]).max()), float(numpy.abs(expected[0]).max())


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the pixels that get the same class."""
    return float((got[0].argmax(1) == expected[0].argmax(1)).mean())


def measure(model: Any, images: Any) -> dict[str, Any]:
    """Return what the templates need to know of a Hugging Face segmenter.

    Args:
        model: the segmenter; it comes back in the mode that it was in.
        images: pictures (N, C, H, W) that it takes; with two or more, batch normalization trains as well.

    Returns:
        ``own_loss``: whether it computes a finite loss from masks and leaves out the pixels that are to be ignored;
        ``ignore``: the attribute of its configuration that holds the index of those, or None.
    """
    import torch

    if len(images) < 2:
        images = torch.cat([images, images])
    masks = torch.arange(images.shape[-1]).remainder(model.config.num_labels)
    masks = masks.expand(len(images), *images.shape[-2:]).clone()
    masks[:, ::2] = _NO_CLASS
    training = model.training
    model.train()
    try:
        for name in _IGNORE:
            if hasattr(model.config, name) and _ignores(model, images, masks, name):
                return {"own_loss": True, "ignore": name}
    finally:
        model.train(training)
    return {"own_loss": False, "ignore": None}


def losses(model: Any, images: Any, measured: dict[str, Any]) -> Iterator[Any]:
    """Return the logits, which all losses of ours are computed from, and the model's own loss if it has one."""
    import torch

    yield run(model, images)[0]
    if measured["own_loss"]:
        masks = torch.zeros(len(images), *images.shape[-2:], dtype=torch.long)
        yield model(pixel_values=images, labels=masks, return_dict=True).loss


def _ignores(model: Any, images: Any, masks: Any, name: str) -> bool:
    """Tell whether the loss is finite when the ignored index is the one that half of the pixels have."""
    import torch

    kept = getattr(model.config, name)
    states = {key: value.clone() for key, value in model.named_buffers()}
    setattr(model.config, name, _NO_CLASS)
    try:
        with torch.no_grad():
            loss = model(pixel_values=images, labels=masks, return_dict=True).loss
        return loss is not None and bool(torch.isfinite(loss).all())
    except Exception:
        return False
    finally:
        setattr(model.config, name, kept)
        for key, value in model.named_buffers():  # batch statistics
            value.copy_(states[key])
