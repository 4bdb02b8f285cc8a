"""The outputs of a panoptic segmenter: masks, scores and classes of all queries; see `task_code`.

They are those of TAO's Mask2Former in panoptic mode; segments that do not overlap are made of them afterwards. Queries
are learned, and keep their places after an export or in half precision, so outputs are compared one by one. Where a
mask is attended to in the next layer, a pixel at its edge can change what follows: a hundredth of them may differ.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch

from tao_hf.in_runtime import task_code

_instances = task_code.load("instance-segmentation", "outputs")
LABEL_GAPS = True
DYNAMIC_SIZE = False
TOLERANCE = 1e-4
_MAY_DIFFER = 0.01  # of the queries
_FAR = 1e9  # how far apart queries are that are not finite
_SAME_SCORE, _SAME_PIXELS = 0.02, 0.02  # largest difference of queries that count as the same
refuse = _instances.refuse
measure = _instances.measure
losses = _instances.losses


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return masks (N, Q, H, W), with the score in them and without, scores (N, Q) and class indices (N, Q)."""
    logits, masks = _instances.raw(model, images, **kwargs)
    no_object, _ = _instances.kind(model, logits)
    scores, classes = (logits.softmax(-1)[..., :-1] if no_object else logits.sigmoid()).max(-1)
    masks = torch.nn.functional.interpolate(masks, images.shape[-2:], mode="bilinear", align_corners=False).sigmoid()
    return scores[..., None, None] * masks, masks, scores, classes


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return how far the queries are apart, and 1: the largest difference of scores, or of pixels on average.

    A hundredth of the queries may be any other, and a class must be the same.
    """
    scores, pixels, other = _apart(expected, got)
    apart = numpy.sort(numpy.where(other, _FAR, numpy.maximum(scores, pixels)))
    return float(apart[len(apart) - 1 - int(_MAY_DIFFER * len(apart))]), 1.0


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the queries that are the same: of the same class, nearly the same score and mask."""
    scores, pixels, other = _apart(expected, got)
    return float(((scores <= _SAME_SCORE) & (pixels <= _SAME_PIXELS) & ~other).mean())


def _apart(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Return for each query of each image the difference of scores, of pixels on average, and of classes (M,)."""
    masks = [numpy.abs(one - other).mean((2, 3)) for one, other in zip(expected[:2], got[:2], strict=True)]
    pixels = numpy.maximum(*masks)
    scores = numpy.abs(expected[2] - got[2])
    found = (numpy.nan_to_num(values, nan=_FAR, posinf=_FAR).ravel() for values in (scores, pixels))
    return (*found, (expected[3] != got[3]).ravel())
