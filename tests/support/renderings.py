"""Render the template's folders for one made-up model, without Copier and without inspecting anything."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jinja2

from tests.support.paths import ROOT

INCOMING = ROOT / "template" / ".tao-hf" / "{{model_name}}" / "incoming"
from tao_hf.rendering import literals, python_source, template_vars  # noqa: E402

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
PLAN: dict[str, Any] = {
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
PROOFS: dict[str, Any] = {
    "tried": {"hf": {"passed": True, "reason": None, "difference": 0.0, "sizes": [[24, 32]]}},
    "plans": {"hf": PLAN},
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
    **preprocess: Any,
) -> dict[str, Any]:
    """Return the names that templates see for an image classifier.

    Args:
        model_name: Snake-case name of the generated model.
        size: Height and width of the model input in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        num_labels: Number of classes.
        hf_model_id: What the person typed as the model.
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
        "strategy": "hf",
        "proofs": copy.deepcopy(PROOFS),
        "branch_name": "tao-hf",
    }
    return {**answers, **template_vars.derived(ROOT, answers)}


# What the proof found of a detector and of a segmenter; the network is the Hugging Face model whole.
WHOLE: dict[str, Any] = {
    "network": None,
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
SEGMENTER: dict[str, Any] = {
    **WHOLE,
    "ignore": "semantic_loss_ignore_index",
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "dynamic_size": True},
}


def detector_context(**plan: Any) -> dict[str, Any]:
    """Return the names that templates see for a detector.

    Args:
        **plan: What differs from `DETECTOR`; also ``model_name`` and ``model_class``.
    """
    return _whole_context("object-detection", "rt_detr", "RTDetrForObjectDetection", {**DETECTOR, **plan})


def segmenter_context(**plan: Any) -> dict[str, Any]:
    """Return the names that templates see for a segmenter.

    Args:
        **plan: What differs from `SEGMENTER`; also ``model_name`` and ``model_class``.
    """
    return _whole_context("image-segmentation", "segformer", "SegformerForSemanticSegmentation", {**SEGMENTER, **plan})


def _whole_context(task_type: str, model_type: str, model_class: str, plan: dict[str, Any]) -> dict[str, Any]:
    model_name = plan.pop("model_name", "tiny_vit")
    model_class = plan.pop("model_class", model_class)
    names = classifier_context(
        model_name=model_name, resize={"mode": "shortest_edge", "size": 28}, reduce_labels=False
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
        "proofs": {**copy.deepcopy(PROOFS), "plans": {"hf": plan}},
    }
    return {**answers, **template_vars.derived(ROOT, answers)}


def environment() -> jinja2.Environment:
    """Return a Jinja environment like the one that Copier renders with; unknown names are errors."""
    env = jinja2.Environment(  # noqa: S701  # the files are no HTML; untrusted text goes through filters
        loader=jinja2.FileSystemLoader(ROOT),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    env.filters.update({**literals.FILTERS, **python_source.FILTERS})
    return env


def render(repo: str, names: dict[str, Any], destination: Path) -> list[Path]:
    """Render what the template has for `repo` into `destination` and return the written files.

    Args:
        repo: ``tao-core``, ``tao-pytorch`` or ``tao-deploy``.
        names: Names that templates see.
        destination: Directory that stands for the clone.
    """
    env = environment()
    source = INCOMING / repo
    written = []
    templates = {}
    for template in sorted(source.rglob("*.jinja")):
        name = env.from_string(str(template.relative_to(source)).removesuffix(".jinja")).render(names)
        if not name.endswith("/"):
            templates[name] = template.relative_to(ROOT).as_posix()
    for extra in names["extra_files"]:
        owner, _, name = extra["path"].partition("/")
        if owner == repo:
            templates[name] = extra["partial"]
    for name, template in sorted(templates.items()):
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(env.get_template(template).render(names), encoding="utf-8")
        written.append(target)
    return written
