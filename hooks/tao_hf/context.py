"""The names that templates use, derived from the answers alone, so that an update renders without the model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tao_hf import proof
from tao_hf.errors import UserError
from tao_hf.rendering import pascal_case

NEEDED = ("findings", "model_name", "task_type", "image_size", "num_labels", "strategy", "proofs", "branch_name")


def task_room(task_type: str) -> str:
    """Return the folder in ``tasks/`` of a task type: ``image-classification`` gives ``image_classification``."""
    return task_type.replace("-", "_")


def task_types(root: Path) -> list[str]:
    """Return the task types that this template has a room for."""
    return sorted(path.parent.name.replace("_", "-") for path in (root / "tasks").glob("*/task.yml"))


def height_and_width(image_size: Any) -> tuple[int, int]:
    """Return height and width in pixels from an answer: one number or a pair."""
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return int(height), int(width)


def adapt_preprocess(preprocess: Mapping[str, Any], native: list[int], height: int, width: int) -> dict[str, Any]:
    """Return the preprocessing for another input size than the model's own.

    Args:
        preprocess: The findings' ``preprocess``.
        native: The model's own height and width in pixels.
        height: Answered height in pixels.
        width: Answered width in pixels.

    Returns:
        ``resize`` with its ``mode`` (``exact``, ``shortest_edge`` or ``none``) and ``size`` in pixels (height and
        width, one length, or nothing), scaled like the input; ``center_crop``; ``crop_rounding`` of half a
        pixel (``down`` or ``even``); ``interpolation``, ``mean``, ``std``.
    """
    order = -1 if preprocess.get("channel_order") == "BGR" else 1  # images stay RGB; the backbone turns them around
    resize = preprocess["resize"] or {"mode": "none"}
    mode = resize["mode"]
    if mode == "exact":
        size = [round(resize["height"] * height / native[0]), round(resize["width"] * width / native[1])]
    elif mode == "shortest_edge":
        size = [max(1, round(resize["size"] * min(height, width) / min(native)))]
    else:
        size = []
    return {
        "resize": {"mode": mode, "size": size},
        "center_crop": mode != "exact" or size != [height, width],  # what may have another size must be cropped
        "crop_rounding": preprocess.get("crop_rounding", "down"),
        "interpolation": preprocess["interpolation"],
        "mean": preprocess["mean"][::order],
        "std": preprocess["std"][::order],
    }


def backbone_module(model_name: str) -> str:
    """Return the name of a model's own module in ``backbone_v2``; never that of the function it registers."""
    return f"hf_{model_name}"


def backbone_file(model_name: str) -> str:
    """Return the name of the file of `backbone_module`."""
    return f"{backbone_module(model_name)}.py"


def backbone_widths(model_name: str, backbone: Mapping[str, Any]) -> dict[str, int]:
    """Return the widths of the features that enter the head, by the names under which the backbone is registered."""
    widths = {f"{model_name}{variant['suffix']}": variant["feature_dim"] for variant in backbone["variants"]}
    return {**widths, model_name: backbone["feature_dim"]}


@cache
def generated_files(root: Path, model_name: str) -> tuple[str, ...]:
    """Return the files of a model in the repositories, relative to the working directory."""
    names = {"{{model_name}}": model_name, "{{backbone_file}}": backbone_file(model_name)}
    incoming = root / "template" / ".tao-hf" / "{{model_name}}" / "incoming"
    files = []
    for path in sorted(incoming.glob("*/**/*.jinja")):
        relative = path.relative_to(incoming).as_posix()
        for name, value in names.items():
            relative = relative.replace(name, value)
        files.append(relative.removesuffix(".jinja"))
    return tuple(files)


@cache
def _task(root: Path, room: str) -> dict[str, Any] | None:
    """Return what ``task.yml`` of a room says, `None` when there is no such room."""
    file = root / "tasks" / room / "task.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None


def derived(root: Path, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the derived names, or nothing while answers are missing.

    Args:
        root: Folder of the template.
        answers: Copier's render context.
    """
    if any(answers.get(name) is None for name in NEEDED):
        return {}
    findings = answers["findings"]
    model_name = answers["model_name"]
    room = task_room(answers["task_type"])
    try:
        strategy = proof.settled(answers["proofs"], answers["strategy"])
    except UserError:
        return {}  # an answer still to be refused
    backbone = answers["proofs"]["plans"][strategy]
    task = _task(root, room)
    if task is None:
        return {}
    try:
        height, width = height_and_width(answers["image_size"])
    except (TypeError, ValueError):
        return {}  # an answer still to be refused
    names = {
        "task_room": room,
        "strategy_room": strategy,
        "backbone": backbone,
        "class_name": pascal_case(model_name),
        "height": height,
        "width": width,
        "channels": findings["channels"],
        "feature_dim": backbone["feature_dim"],
        "bgr": findings["preprocess"].get("channel_order") == "BGR",
        "model_class": findings["model_class"],
        "hf_config": {key: value for key, value in findings["config"].items() if key != "model_type"},
        "pre": adapt_preprocess(findings["preprocess"], findings["image_size"], height, width),
        "exporter": backbone["onnx"]["exporter"],
        "opset": backbone["onnx"]["opset"],
        "onnx_inputs": task["onnx_inputs"],
        "onnx_outputs": task["onnx_outputs"],
        "backbone_type": model_name,
        "backbone_widths": backbone_widths(model_name, backbone),
        "backbone_module": backbone_module(model_name),
        "backbone_file": backbone_file(model_name),
    }
    names["model_record"] = {
        "model_name": model_name,
        "class_name": names["class_name"],
        "task_type": answers["task_type"],
        "hf_model_id": answers["hf_model_id"],
        "num_labels": answers["num_labels"],
        "image_size": [height, width],
        "channels": names["channels"],
        "strategy": strategy,
        "proof": {
            **{key: answers["proofs"]["tried"][strategy][key] for key in ("difference", "sizes")},
            **{key: answers["proofs"][key] for key in ("weights", "against")},
        },
        "preprocess": names["pre"],
        "onnx_inputs": names["onnx_inputs"],
        "onnx_outputs": names["onnx_outputs"],
        "backbone": {"module": names["backbone_module"], "names": list(names["backbone_widths"])},
        "branch_name": answers["branch_name"],
        "files": list(generated_files(root, model_name)),
    }
    return names
