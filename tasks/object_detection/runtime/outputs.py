"""The outputs of an object detector: for each query a row of logits and a box; see `task_code`.

Detectors with two stages take the best of many proposals as their queries. Two proposals of nearly the same score can
change places after an export or in half precision, and with them their predictions. So predictions are compared as
matched sets: each with the one that is most like it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import torch

LABEL_GAPS = True
DYNAMIC_SIZE = False
TOLERANCE = 1e-4
_QUADRILATERAL = 10  # numbers
_ORDER = "reading_order"
_MAY_DIFFER = 0.01  # of the queries: those at the end of the list of proposals can be others
_FAR = 1e9  # how far apart predictions are that are not finite
_SAME = 0.02  # of the largest logit or of the image: how far apart predictions are that count as the same
# What the schema calls a setting, and how configurations spell it.
_SETTINGS = {
    "num_queries": ("num_queries", "num_detection_tokens"),
    "auxiliary_loss": ("auxiliary_loss",),
    "num_denoising": ("num_denoising",),
    "label_noise_ratio": ("label_noise_ratio",),
    "box_noise_scale": ("box_noise_scale",),
    "class_cost": ("matcher_class_cost", "class_cost"),
    "bbox_cost": ("matcher_bbox_cost", "bbox_cost"),
    "giou_cost": ("matcher_giou_cost", "giou_cost"),
    "class_loss_coef": ("class_loss_coefficient",),
    "vfl_loss_coef": ("weight_loss_vfl",),
    "mal_loss_coef": ("weight_loss_mal",),
    "bbox_loss_coef": ("weight_loss_bbox", "bbox_loss_coefficient"),
    "giou_loss_coef": ("weight_loss_giou", "giou_loss_coefficient"),
    "fgl_loss_coef": ("weight_loss_fgl",),
    "ddf_loss_coef": ("weight_loss_ddf",),
    "focal_alpha": ("focal_loss_alpha", "focal_alpha", "mal_alpha"),
    "focal_gamma": ("focal_loss_gamma",),
    "no_object_coef": ("eos_coefficient",),
}
# What a loss of ours needs, for architectures that transformers cannot train.
_OWN = {
    "class_cost": 2.0,
    "bbox_cost": 5.0,
    "giou_cost": 2.0,
    "class_loss_coef": 1.0,
    "bbox_loss_coef": 5.0,
    "giou_loss_coef": 2.0,
    "focal_alpha": 0.25,
    "focal_gamma": 2.0,
}


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a class detects no objects: what transformers calls detection of text gives a map, and no boxes."""
    if "OCR" in cls.__name__ and "Det" in cls.__name__:
        return f"{cls.__name__} marks text in a map of the image and predicts no boxes"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return logits (N, queries, classes) and boxes (N, queries, 4): centre, width and height, 0 to 1.

    Of a model that predicts quadrilaterals the boxes are those around them. Of a model that also finds the reading
    order they are what it sorts into that order: the same predictions, in another sequence.
    """
    if hasattr(model, _ORDER):
        outputs = model.model(pixel_values=images, return_dict=True, **kwargs)
        return outputs.intermediate_logits[:, -1], outputs.intermediate_reference_points[:, -1]
    outputs = model(pixel_values=images, return_dict=True, **kwargs)
    boxes = outputs.pred_boxes
    if boxes.shape[-1] == _QUADRILATERAL:  # centre, and four corners as offsets from it, moved by a half
        corners = boxes[..., None, :2] + boxes[..., 2:].unflatten(-1, (4, 2)) - 0.5
        low, high = corners.amin(-2), corners.amax(-2)
        boxes = torch.cat([(low + high) / 2, high - low], dim=-1)
    return outputs.logits, boxes


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return the largest difference between matched predictions, as a part of the largest logit or of the image; and 1.

    A hundredth of the queries of an image may have no counterpart.
    """
    worst = 0.0
    for found in _distances(expected, got):
        worst = max(worst, float(found[: len(found) - int(_MAY_DIFFER * len(found))][-1]))
    return worst, 1.0


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the predictions that have a counterpart: its logits and its box are nearly the same."""
    return float(numpy.mean([found <= _SAME for found in _distances(expected, got)]))


def _distances(expected: tuple[Any, ...], got: tuple[Any, ...]) -> Iterator[Any]:
    """Yield for each image how far apart its matched predictions are, as a part of the largest logit or of the image.

    The nearest come first.
    """
    from scipy.optimize import linear_sum_assignment

    scales = [max(float(numpy.abs(expected[0]).max()), 1e-12), 1.0]
    rows = [
        numpy.concatenate([array / scale for array, scale in zip(side, scales, strict=True)], axis=2)
        for side in (expected, got)
    ]
    for one, other in zip(*rows, strict=True):
        distances = numpy.nan_to_num(numpy.abs(one[:, None] - other[None]).max(2), nan=_FAR, posinf=_FAR)
        yield numpy.sort(distances[linear_sum_assignment(distances)])


def measure(model: Any, images: Any) -> dict[str, Any]:
    """Return what the templates need to know of a detector.

    Returns:
        ``queries``: how many predictions there are for an image; ``no_object``: whether the last logit stands for
        none, so that scores are a softmax and not sigmoids; ``quadrilaterals``: whether it predicts those, which boxes
        are drawn around; ``reading_order``: whether it also finds that, which is left out; ``own_loss``: whether the
        model computes the loss that it was trained with; ``settings``: {name in the schema: {"attribute", "value"}}.
    """
    with torch.no_grad():
        outputs = model(pixel_values=images, return_dict=True)
    logits = outputs.logits
    config = model.config
    no_object = logits.shape[2] == config.num_labels + 1
    own_loss = _trains(model, images)
    left_out = {"no_object_coef"} if not no_object else set()
    if own_loss and not _trains(model, images, auxiliary_loss=True):
        left_out.add("auxiliary_loss")
    settings = {}
    for name, spellings in _SETTINGS.items():
        if name in left_out:
            continue
        found = next((spelling for spelling in spellings if getattr(config, spelling, None) is not None), None)
        if found and (own_loss or name == "num_queries"):
            settings[name] = {"attribute": found, "value": getattr(config, found)}
        elif not own_loss and name in _OWN:
            settings[name] = {"attribute": None, "value": _OWN[name]}
    return {
        "queries": logits.shape[1],
        "no_object": no_object,
        "quadrilaterals": outputs.pred_boxes.shape[-1] == _QUADRILATERAL,
        "reading_order": hasattr(model, _ORDER),
        "own_loss": own_loss,
        "settings": settings,
    }


def losses(model: Any, images: Any, measured: dict[str, Any]) -> Iterator[Any]:
    """Return the losses with objects and without any, with auxiliary losses and without, if the model has its own.

    In batches without objects there are no denoising queries, and nothing of what makes them is trained.
    """
    if not measured["own_loss"]:
        outputs = model(pixel_values=images, return_dict=True)
        yield outputs.logits.sum() + outputs.pred_boxes.sum()
        return
    _, nothing = _targets()
    for auxiliary in (True, False) if "auxiliary_loss" in measured["settings"] else (None,):
        if auxiliary is not None:
            model.config.auxiliary_loss = auxiliary
        for labels in (_targets(), [nothing, nothing]):
            yield model(pixel_values=images, labels=labels, return_dict=True).loss


def _targets() -> list[dict[str, Any]]:
    """Return the objects of two images, the second of which has none."""
    boxes = torch.tensor([[0.4, 0.5, 0.2, 0.3], [0.7, 0.6, 0.3, 0.2]])
    return [
        {"class_labels": torch.tensor([0, 1]), "boxes": boxes},
        {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4)},
    ]


def _trains(model: Any, images: Any, **settings: Any) -> bool:
    """Tell whether the model, with these settings, computes a loss for an image with objects and one without."""
    kept = {name: getattr(model.config, name, None) for name in settings}
    vars(model.config).update(settings)
    try:
        loss = model.train()(pixel_values=images, labels=_targets(), return_dict=True).loss
        return bool(torch.isfinite(loss))
    except Exception:
        return False
    finally:
        vars(model.config).update(kept)
        model.eval()
