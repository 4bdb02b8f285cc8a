"""Render the template's folders for one made-up model, without Copier and without inspecting anything."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from unittest import mock

from tao_hf.rendering import environment, tasks, template_vars
from tests.support.paths import ROOT

FINDINGS: dict[str, Any] = {
    "schema": 1,
    "hf_model_id": "acme/tiny-vit",
    "pipeline_tag": "image-classification",
    "task_type": "image-classification",
    "model_type": "vit",
    "architectures": ["ViTForImageClassification"],
    "model_class": "ViTForImageClassification",
    "hidden_size": 32,
    "feature_dim": 32,
    "output": "logits",
    "config": {"hidden_size": 32},
    "head": {"modules": ["classifier"], "parameters": ["classifier.weight", "classifier.bias"]},
    "preprocess": {
        "resize": {"mode": "exact", "height": 24, "width": 32},
        "crop": None,
        "interpolation": "bilinear",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
    },
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17},
}

# What the proof of strategy hf found of that model.
MEASURED: dict[str, Any] = {
    "network": None,
    "variants": [],
    "head": {"modules": ["hf_model.classifier"], "kind": "Linear", "width": 32},
    "feature_dim": 32,
    "stages": [{"modules": ["hf_model.vit.embeddings"]}, {"each": "hf_model.vit.layers"}],
    "taps": [
        {
            "module": "hf_model.vit.layers.-1",
            "index": None,
            "layout": "tokens",
            "stride": 8,
            "channels": 32,
            "prefix": 1,
            "suffix": 0,
            "nested": 0,
            "up": False,
        }
    ],
    "norms": False,
    "pre_logits": "hook",
    "checkpointing": True,
    "bgr_stem": None,
    "other_size": [48, 64],
    "onnx": FINDINGS["onnx"],
}
# What its family says of it with strategies reuse and timm, and what the proof measured of the variants.
NETWORK: dict[str, Any] = {
    "base": "timm.models.vision_transformer.VisionTransformer",
    "rules": [
        ["vit.layers.{i}.q.{tensor} + vit.layers.{i}.k.{tensor}", "blocks.{i}.qk.{tensor}", ""],
        ["vit.{tensor}", "{tensor}", ""],
        ["pooler.{tensor}", "", "nothing reads it"],
        ["", "mask", "the backbone has its own"],
    ],
    "spellings": [["^encoder[.]", "vit."]],
    "sized": True,
    "positions": {"pos_embed": {"native": [3, 4], "prefix": 1, "mode": "bicubic"}},
    "imports": [],
    "setup": "",
    "methods": "",
    "arguments": [["act_layer", {"$name": "torch.nn.GELU"}]],
    "variants": {"small": [["depth", 3]]},
}
VARIANTS: list[dict[str, Any]] = [{"name": "small", "feature_dim": 48}]
PROOFS: dict[str, Any] = {
    "tried": {"hf": {"passed": True, "reason": None, "difference": 0.0, "sizes": [[24, 32]]}},
    "measured": {"hf": MEASURED},
    "weights": "random",
    "against": "tao-pytorch",
}


def classifier_context(
    *,
    model_name: str = "tiny_vit",
    size: tuple[int, int] = (24, 32),
    channels: int = 3,
    num_labels: int = 4,
    hf_model_id: str = "acme/tiny-vit",
    strategy: str = "hf",
    measured: dict[str, Any] | None = None,
    network: dict[str, Any] | None = None,
    **preprocess: Any,
) -> dict[str, Any]:
    """Return the names that templates see for an image classifier.

    Args:
        model_name: Snake-case name of the generated model.
        size: Height and width of the model input in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        num_labels: Number of classes.
        hf_model_id: What the person typed as the model.
        strategy: How the backbone is made.
        measured: What differs from `MEASURED`; for other strategies than hf also from `VARIANTS`.
        network: What differs from `NETWORK`.
        **preprocess: What differs from the preprocessing of `FINDINGS`.
    """
    findings = copy.deepcopy(FINDINGS)
    pre = findings["preprocess"]
    pre.update(mean=pre["mean"][:channels], std=pre["std"][:channels])
    pre.update(preprocess)
    findings.update(
        image_size=list(size),
        channels=channels,
        hf_model_id=hf_model_id,
        num_labels=num_labels,
        labels=[f"class {index}" for index in range(num_labels)],
    )
    answers = {
        "model_name": model_name,
        "task_type": "image-classification",
        "hf_model_id": hf_model_id,
        "findings": findings,
        "image_size": list(size),
        "num_labels": num_labels,
        "strategy": strategy,
        "proofs": _proofs(strategy, measured or {}),
        "branch_name": "tao-hf",
    }
    said = {**copy.deepcopy(NETWORK), **(network or {})}
    with mock.patch.object(template_vars.network, "evaluate", return_value=said):
        return {**answers, **template_vars.derived(ROOT, answers)}


def _proofs(strategy: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Return `PROOFS` for a strategy and what was measured besides."""
    proofs = copy.deepcopy(PROOFS)
    own = {} if strategy == "hf" else {"configuration": {"model_type": "vit"}, "variants": copy.deepcopy(VARIANTS)}
    proofs["measured"] = {strategy: {**proofs["measured"]["hf"], **own, **measured}}
    proofs["tried"] = {strategy: proofs["tried"]["hf"]}
    return proofs


# What the proof found of a detector, a segmenter and a depth estimator; the network is the Hugging Face model whole.
WHOLE: dict[str, Any] = {
    "backbone": "model.backbone",
    "interpolates": False,
    "frozen": False,
    "checkpointing": True,
    "downloads": False,
    "class_lists": [],
    "own_loss": True,
    "other_size": [48, 64],
}
DETECTOR: dict[str, Any] = {
    **WHOLE,
    "queries": 20,
    "no_object": False,
    "quadrilaterals": False,
    "reading_order": False,
    "settings": {
        "num_queries": {"attribute": "num_queries", "value": 20},
        "auxiliary_loss": {"attribute": "auxiliary_loss", "value": True},
        "num_denoising": {"attribute": "num_denoising", "value": 10},
        "class_cost": {"attribute": "matcher_class_cost", "value": 2.0},
        "bbox_loss_coef": {"attribute": "weight_loss_bbox", "value": 5.0},
    },
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "dynamic_size": False},
}
INSTANCES: dict[str, Any] = {
    **WHOLE,
    "queries": 20,
    "no_object": True,
    "rated": True,
    "boxes": False,
    "told": False,
    "empty_batches": True,
    "settings": {
        "num_queries": {"attribute": "num_queries", "value": 20},
        "auxiliary_loss": {"attribute": "use_auxiliary_loss", "value": True},
        "class_loss_coef": {"attribute": "class_weight", "value": 2.0},
        "dice_loss_coef": {"attribute": "dice_weight", "value": 5.0},
        "num_points": {"attribute": "train_num_points", "value": 128},
    },
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "dynamic_size": False},
}
SEGMENTER: dict[str, Any] = {
    **WHOLE,
    "ignore": "semantic_loss_ignore_index",
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "dynamic_size": True},
}
ESTIMATOR: dict[str, Any] = {
    **{key: value for key, value in WHOLE.items() if key != "own_loss"},
    "kind": "metric",
    "disparity": False,
    "max_depth": 20.0,
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "dynamic_size": False},
}


def detector_context(**measured: Any) -> dict[str, Any]:
    """Return the names that templates see for a detector.

    Args:
        **measured: What differs from `DETECTOR`; also ``model_name`` and ``model_class``.
    """
    return _whole_context("object-detection", "rt_detr", "RTDetrForObjectDetection", {**DETECTOR, **measured})


def instance_context(**measured: Any) -> dict[str, Any]:
    """Return the names that templates see for an instance segmenter.

    Args:
        **measured: What differs from `INSTANCES`; also ``model_name`` and ``model_class``.
    """
    model_class = "Mask2FormerForUniversalSegmentation"
    return _whole_context("instance-segmentation", "mask2former", model_class, {**INSTANCES, **measured})


def segmenter_context(**measured: Any) -> dict[str, Any]:
    """Return the names that templates see for a segmenter.

    Args:
        **measured: What differs from `SEGMENTER`; also ``model_name`` and ``model_class``.
    """
    model_class = "SegformerForSemanticSegmentation"
    return _whole_context("image-segmentation", "segformer", model_class, {**SEGMENTER, **measured})


def estimator_context(**measured: Any) -> dict[str, Any]:
    """Return the names that templates see for a depth estimator.

    Args:
        **measured: What differs from `ESTIMATOR`; also ``model_name`` and ``model_class``.
    """
    return _whole_context("depth-estimation", "glpn", "GLPNForDepthEstimation", {**ESTIMATOR, **measured})


def _whole_context(task_type: str, model_type: str, model_class: str, measured: dict[str, Any]) -> dict[str, Any]:
    model_name = measured.pop("model_name", "tiny_vit")
    model_class = measured.pop("model_class", model_class)
    names = classifier_context(
        model_name=model_name,
        resize={"mode": "shortest_edge", "size": 28},
        reduce_labels=False,
        num_labels=4 if tasks.task(ROOT, task_type)["classes"] else 0,
    )
    findings = {
        **names["findings"],
        "task_type": task_type,
        "pipeline_tag": task_type,
        "model_type": model_type,
        "model_class": model_class,
        "feature_dim": None,
        "config": {"model_type": model_type},
    }
    answers = {
        **{key: names[key] for key in ("model_name", "hf_model_id", "image_size", "num_labels", "branch_name")},
        "task_type": task_type,
        "findings": findings,
        "strategy": "auto",
        "proofs": {**copy.deepcopy(PROOFS), "measured": {"hf": measured}},
    }
    return {**answers, **template_vars.derived(ROOT, answers)}


def render(repo: str, names: dict[str, Any], destination: Path) -> list[Path]:
    """Render what the template has for `repo` into `destination` and return the written files.

    Args:
        repo: ``tao-core``, ``tao-pytorch`` or ``tao-deploy``.
        names: Names that templates see.
        destination: Directory that stands for the clone.
    """
    written = []
    for path, text in rendered(names).items():
        owner, _, name = path.partition("/")
        if owner == repo:
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            written.append(target)
    return written


def rendered(names: dict[str, Any]) -> dict[str, str]:
    """Return the text of each file of a model by its path in the working directory.

    Args:
        names: Names that templates see.
    """
    env = environment.make(ROOT)
    return {file.path: env.get_template(file.source).render({**names, "file": file}) for file in names["files"]}
