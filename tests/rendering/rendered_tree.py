"""What the template renders for made-up models of every task and strategy, as a manifest to compare versions by.

PYTHONPATH=.:hooks python -m tests.rendering.rendered_tree MANIFEST.json
TAO_HF_MANIFEST=MANIFEST.json pytest tests/rendering/test_rendered_tree.py
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.renderings import (
    classifier_context,
    detector_context,
    estimator_context,
    instance_context,
    panoptic_context,
    rendered,
    segmenter_context,
)

_BARE = {"positions": {}, "spellings": [], "sized": False, "rules": [["vit.{tensor}", "{tensor}", ""]]}
_OTHER = {
    "head": {"modules": ["head", "head_dist"], "kind": "Linear", "width": 32},
    "norms": True,
    "pre_logits": "forward_head",
    "checkpointing": False,
    "taps": [],
    "bgr_stem": "stem.conv.weight",
}

# A context of each kind of model that templates tell apart.
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "classifier": classifier_context,
    "grayscale classifier": lambda: classifier_context(
        size=(27, 20), channels=1, num_labels=2, resize={"mode": "shortest_edge", "size": 22}, interpolation="lanczos"
    ),
    "classifier without resizing": lambda: classifier_context(resize=None, crop_rounding="even", channel_order="BGR"),
    "classifier by dynamo": lambda: classifier_context(measured={"onnx": {"exporter": "dynamo", "opset": 18}}),
    "classifier by reuse": lambda: classifier_context(strategy="reuse"),
    "classifier by timm": lambda: classifier_context(strategy="timm"),
    "other classifier by reuse": lambda: classifier_context(strategy="reuse", measured=_OTHER, network=_BARE),
    "other classifier by timm": lambda: classifier_context(strategy="timm", measured=_OTHER, network=_BARE),
    "detector": detector_context,
    "softmax detector": lambda: detector_context(no_object=True, frozen=True, checkpointing=False),
    "detector without a loss": lambda: detector_context(
        own_loss=False, class_lists=["order"], settings={"class_cost": {"attribute": None, "value": 2.0}}
    ),
    "detector of quadrilaterals": lambda: detector_context(quadrilaterals=True, downloads=True),
    "detector in reading order": lambda: detector_context(reading_order=True),
    "instance segmenter": instance_context,
    "instance segmenter with boxes": lambda: instance_context(
        boxes=True,
        rated=False,
        no_object=False,
        empty_batches=False,
        settings={
            "class_cost": {"attribute": "class_cost", "value": 2.0},
            "dice_loss_coef": {"attribute": "mask_dice_loss_coefficient", "value": 5.0},
        },
    ),
    "instance segmenter that is told its task": lambda: instance_context(
        told=True, onnx={"exporter": "torchscript", "opset": 17, "dynamic_size": False, "rewrites": ["where"]}
    ),
    "panoptic segmenter": panoptic_context,
    "panoptic segmenter with boxes": lambda: panoptic_context(boxes=True, rated=False, empty_batches=False),
    "segmenter": segmenter_context,
    "segmenter of one size": lambda: segmenter_context(
        interpolates=True, onnx={"exporter": "dynamo", "opset": 18, "dynamic_size": False}
    ),
    "segmenter of which TensorRT refuses functions": lambda: segmenter_context(
        onnx={"exporter": "torchscript", "opset": 17, "dynamic_size": True, "rewrites": ["avg_pool2d", "fold"]}
    ),
    "segmenter without a loss": lambda: segmenter_context(own_loss=False, ignore=None),
    "depth estimator": estimator_context,
    "estimator of disparities": lambda: estimator_context(
        kind="relative",
        max_depth=None,
        interpolates=True,
        onnx={"exporter": "torchscript", "opset": 17, "rewrites": ["split"]},
    ),
    "depth estimator with disparities inside": lambda: estimator_context(disparity=True, max_depth=None),
}


def manifest() -> dict[str, dict[str, str]]:
    """Return, by case, the digest of each file by its path in the working directory."""
    return {
        case: {path: hashlib.sha256(text.encode()).hexdigest() for path, text in rendered(names()).items()}
        for case, names in CASES.items()
    }


def differences(old: dict[str, dict[str, str]], new: dict[str, dict[str, str]]) -> list[str]:
    """Return what two manifests do not have alike: ``case: path``; cases that one alone has are left out."""
    return sorted(
        f"{case}: {path}"
        for case in old.keys() & new.keys()
        for path in old[case].keys() | new[case].keys()
        if old[case].get(path) != new[case].get(path)
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(manifest(), indent=1), encoding="utf-8")
