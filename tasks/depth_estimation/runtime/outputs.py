"""The output of a depth estimator: a map of depths, or of relative disparities; see `task_code`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy

LABEL_GAPS = False
DYNAMIC_SIZE = False
TOLERANCE = 1e-4
_LARGEST = 1e4  # of depths that are computed from disparities, as in transformers' DepthProImageProcessor
_SAME = 0.01  # of a depth
_SAME_OF_ALL = 0.001  # of the largest depth


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a class does not give every pixel of a picture a depth."""
    if "pixel_values" not in inspect.signature(cls.forward).parameters:
        return f"{cls.__name__} does not take pictures (pixel_values)"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return the depths (N, H, W), brought to the size of the images; of relative models the disparities."""
    import torch
    from torch.nn import functional

    outputs = model(pixel_values=images, return_dict=True, **kwargs)
    depths = outputs.predicted_depth
    if _is_disparity(model):
        if outputs.field_of_view is not None:
            depths = depths * 2 * torch.tan(torch.deg2rad(outputs.field_of_view) / 2).view(-1, 1, 1)
        depths = 1 / depths.clamp(1 / _LARGEST, _LARGEST)
    if depths.shape[-2:] != images.shape[-2:]:
        size = images.shape[-2:]
        depths = functional.interpolate(depths[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return (depths,)


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference of a depth and the largest depth."""
    return float(numpy.abs(got[0] - expected[0]).max()), float(numpy.abs(expected[0]).max())


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the pixels whose depth is the same: to a hundredth, or to a thousandth of the largest."""
    allowed = numpy.maximum(_SAME * numpy.abs(expected[0]), _SAME_OF_ALL * numpy.abs(expected[0]).max())
    return float((numpy.abs(got[0] - expected[0]) <= allowed).mean())


def measure(model: Any, images: Any) -> dict[str, Any]:
    """Return what the templates need to know of a Hugging Face depth estimator.

    Args:
        model: the depth estimator.
        images: not read.

    Returns:
        ``kind``: ``metric`` where depths are in metres, ``relative`` where the model gives disparities, which are the
        inverses of depths but for a scale and a shift; ``disparity``: whether the transformers class of a metric model
        gives disparities, to be turned into depths; ``max_depth``: the largest depth that it can give in metres, None
        where none is configured.
    """
    config = model.config
    largest = getattr(config, "max_depth", None)
    ranges = getattr(config, "bin_configurations", None) or []
    if ranges:
        largest = max(each["max_depth"] for each in ranges)
    disparity = _is_disparity(model)
    named = getattr(config, "depth_estimation_type", None)
    kind = named or ("metric" if disparity or largest is not None else "relative")
    return {"kind": kind, "disparity": disparity, "max_depth": float(largest) if kind == "metric" and largest else None}


def losses(model: Any, images: Any, measured: dict[str, Any]) -> Iterator[Any]:
    """Return the depths, which all losses of ours are computed from."""
    yield run(model, images)[0]


def _is_disparity(model: Any) -> bool:
    """Tell whether a model gives disparities in units of the picture's width (Depth Pro)."""
    return hasattr(model.config, "use_fov_model")
