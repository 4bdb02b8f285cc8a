"""The outputs of an instance segmenter: masks, scores and classes of the best predictions; see `task_code`.

They are chosen inside of the exported model, as in TAO's Mask2Former: of all classes of all queries those with the
highest scores. Two of nearly the same score can change places after an export or in half precision. So predictions are
compared as matched sets: each with the one that is most like it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import torch

LABEL_GAPS = True
DYNAMIC_SIZE = False
TOLERANCE = 1e-4
_MOST = 100  # predictions for an image
_MAY_DIFFER = 0.01  # of the predictions: the last ones can be others
_FAR = 1e9  # how far apart predictions are of other classes, or that are not finite
_SAME_SCORE, _SAME_MASK = 0.02, 0.9  # largest difference, least overlap of predictions that count as the same
_SMALL = 1e-6
_VIDEO = ("Videomt",)
# What the schema calls a setting, and how configurations spell it.
_SETTINGS = {
    "num_queries": ("num_queries",),
    "auxiliary_loss": ("auxiliary_loss", "use_auxiliary_loss"),
    "class_cost": ("class_cost",),
    "bbox_cost": ("bbox_cost",),
    "giou_cost": ("giou_cost",),
    "class_loss_coef": ("class_loss_coefficient", "class_weight", "cross_entropy_weight"),
    "mask_loss_coef": ("mask_class_loss_coefficient", "mask_loss_coefficient", "mask_weight"),
    "dice_loss_coef": ("mask_dice_loss_coefficient", "dice_loss_coefficient", "dice_weight"),
    "bbox_loss_coef": ("bbox_loss_coefficient",),
    "giou_loss_coef": ("giou_loss_coefficient",),
    "no_object_coef": ("eos_coefficient", "no_object_weight"),
    "num_points": ("train_num_points",),
    "oversample_ratio": ("oversample_ratio",),
    "importance_sample_ratio": ("importance_sample_ratio",),
}


def refuse(cls: Any, config: dict[str, Any]) -> str | None:
    """Say why a class segments no instances here."""
    if cls.__name__.startswith(_VIDEO):
        return f"{cls.__name__} works on videos, not on images"
    return None


def run(model: Any, images: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return masks (N, K, H, W) of 0 and 1, scores (N, K) and class indices (N, K) of the best predictions."""
    logits, masks = raw(model, images, **kwargs)
    no_object, rated = kind(model, logits)
    scores = logits.softmax(-1)[..., :-1] if no_object else logits.sigmoid()
    queries, classes = scores.shape[1:]
    best, index = scores.flatten(1).topk(min(_MOST, queries * classes))
    chosen = index // classes
    masks = masks.gather(1, chosen[..., None, None].expand(-1, -1, *masks.shape[-2:]))
    masks = torch.nn.functional.interpolate(masks, images.shape[-2:], mode="bilinear", align_corners=False)
    inside = (masks > 0).to(masks.dtype)
    if rated:
        best = best * (masks.sigmoid() * inside).sum((2, 3)) / (inside.sum((2, 3)) + _SMALL)
    return inside, best, index - chosen * classes


def difference(expected: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[float, float]:
    """Return how far matched predictions are apart, and 1: the largest difference of scores, or the pixels that differ.

    A hundredth of the predictions of an image may have no counterpart. The pixels are a part of those of all masks.
    """
    worst = 0.0
    for scores, pixels, _ in _pairs(expected, got):
        kept = numpy.argsort(scores)[: len(scores) - int(_MAY_DIFFER * len(scores))]
        worst = max(worst, float(scores[kept].max()), float(pixels[kept].mean()))
    return worst, 1.0


def agreement(expected: tuple[Any, ...], got: tuple[Any, ...]) -> float:
    """Return the part of the predictions that have a counterpart: of the same class, nearly the same score and mask."""
    found = [(scores <= _SAME_SCORE) & (overlaps >= _SAME_MASK) for scores, _, overlaps in _pairs(expected, got)]
    return float(numpy.mean(found))


def _pairs(expected: tuple[Any, ...], got: tuple[Any, ...]) -> Iterator[tuple[Any, Any, Any]]:
    """Yield for each image of matched predictions the differences of scores, of pixels as a part, and the overlaps."""
    from scipy.optimize import linear_sum_assignment

    for (masks, scores, classes), (others, other_scores, other_classes) in zip(
        zip(*expected, strict=True), zip(*got, strict=True), strict=True
    ):
        one, other = (numpy.asarray(side, dtype=numpy.float32).reshape(len(side), -1) for side in (masks, others))
        common = one @ other.T
        areas = one.sum(1)[:, None] + other.sum(1)[None]
        pixels = (areas - 2 * common) / one.shape[1]
        overlaps = (common + _SMALL) / (areas - common + _SMALL)
        apart = numpy.abs(scores[:, None] - other_scores[None])
        apart = numpy.nan_to_num(apart, nan=_FAR, posinf=_FAR)
        apart = numpy.where(classes[:, None] == other_classes[None], apart, _FAR)
        pairs = linear_sum_assignment(apart + pixels)
        yield apart[pairs], pixels[pairs], overlaps[pairs]


def measure(model: Any, images: Any) -> dict[str, Any]:
    """Return what the templates need to know of an instance segmenter.

    Returns:
        ``queries``: how many predictions there are for an image; ``no_object``: whether the last logit stands for
        none, so that scores are a softmax and not sigmoids; ``rated``: whether a score also says how sure the mask is;
        ``boxes``: whether there are boxes too, which the loss wants; ``told``: whether the model is told its task as
        ``task_tokens`` of its configuration; ``own_loss``: always true; ``empty_batches``:
        whether the loss takes batches without objects; ``settings``: {name in the schema: {"attribute", "value"}}.
    """
    with torch.no_grad():
        logits, _ = raw(model, images)
    no_object, rated = kind(model, logits)
    config = model.config
    settings = {}
    for name, spellings in _SETTINGS.items():
        found = next((spelling for spelling in spellings if getattr(config, spelling, None) is not None), None)
        if found and not (name == "no_object_coef" and not no_object):
            settings[name] = {"attribute": found, "value": getattr(config, found)}
    measured = {
        "queries": logits.shape[1],
        "no_object": no_object,
        "rated": rated,
        "boxes": not rated,
        "told": _is_told(model),
        "own_loss": True,
        "settings": settings,
    }
    objects = _targets(images)
    measured["empty_batches"] = _trains(model, images, [objects[1]] * 2, measured)
    auxiliary = settings.get("auxiliary_loss")
    ways = [{auxiliary["attribute"]: value} for value in (True, False)] if auxiliary else []
    if not all(_trains(model, images, objects, measured, **way) for way in ways):
        del settings["auxiliary_loss"]  # transformers can train the model in one of the ways alone
    return measured


def losses(model: Any, images: Any, measured: dict[str, Any]) -> Iterator[Any]:
    """Return the losses with objects and without any, with auxiliary losses and without, as far as there are."""
    auxiliary = measured["settings"].get("auxiliary_loss")
    for value in (True, False) if auxiliary else (None,):
        if auxiliary:
            setattr(model.config, auxiliary["attribute"], value)
        yield _loss(model, images, _targets(images), measured)
        if measured["empty_batches"]:
            yield _loss(model, images, [_targets(images)[1]] * 2, measured)


def _call(model: Any, images: Any, **kwargs: Any) -> Any:
    """Return a model's own outputs; one that is told its task in words hears them with every image."""
    if _is_told(model):
        tokens = torch.tensor([model.config.task_tokens])
        tokens = torch.nn.functional.pad(tokens, (0, model.config.task_seq_len - tokens.shape[1]))
        kwargs["task_inputs"] = tokens.expand(images.shape[0], -1)
    return model(pixel_values=images, return_dict=True, **kwargs)


def _is_told(model: Any) -> bool:
    return hasattr(model.config, "task_tokens")


def raw(model: Any, images: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Return the logits of classes (N, Q, C) and of masks (N, Q, h, w), whatever an architecture calls them."""
    outputs = _call(model, images, **kwargs)
    if "masks_queries_logits" in outputs:
        return outputs.class_queries_logits, outputs.masks_queries_logits
    return outputs.logits, outputs.pred_masks


def kind(model: Any, logits: Any) -> tuple[bool, bool]:
    """Tell whether the last logit stands for no object, and whether scores are those of the masks too."""
    return logits.shape[2] == model.config.num_labels + 1, not hasattr(model, "bbox_attention") and not hasattr(
        model, "segmentation_bias"
    )


def _targets(images: Any) -> list[dict[str, Any]]:
    """Return the objects of two images, the second of which has none."""
    height, width = images.shape[-2:]
    masks = torch.zeros(2, height, width)
    masks[0, height // 4 : height // 2, width // 4 : width // 2] = 1
    masks[1, height // 2 :, width // 3 :] = 1
    boxes = torch.tensor([[0.375, 0.375, 0.25, 0.25], [0.667, 0.75, 0.667, 0.5]])
    return [
        {"class_labels": torch.tensor([0, 1]), "boxes": boxes, "masks": masks},
        {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4), "masks": masks[:0]},
    ]


def _loss(model: Any, images: Any, targets: list[dict[str, Any]], measured: dict[str, Any]) -> Any:
    if measured["boxes"]:
        return _call(model, images, labels=targets).loss
    masks, classes = ([target[name] for target in targets] for name in ("masks", "class_labels"))
    return _call(model, images, mask_labels=masks, class_labels=classes).loss


def _trains(
    model: Any, images: Any, targets: list[dict[str, Any]], measured: dict[str, Any], **settings: Any
) -> bool:
    """Tell whether the model, with these settings, computes a loss for these targets."""
    kept = {name: getattr(model.config, name) for name in settings}
    vars(model.config).update(settings)
    try:
        return bool(torch.isfinite(_loss(model.train(), images, targets, measured)))
    except Exception:
        return False
    finally:
        vars(model.config).update(kept)
        model.eval()
