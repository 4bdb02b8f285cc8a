"""The names that templates use, derived from the answers alone, so that an update renders without the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_hf.answers import earlier
from tao_hf.answers.strategy import chosen
from tao_hf.answers.validators import height_and_width
from tao_hf.base.errors import UserError
from tao_hf.rendering import layers, network, tasks
from tao_hf.rendering.literals import configuration_fields, pascal_case

# What the tests of a model must know of its task.
_OF_TASK = ("network", "rows_per_image", "best_metric", "data_files", "data_settings", "shared_settings")
# What models without classes do not have.
_OF_CLASSES = (
    "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/labels.py",
    "tao-deploy/nvidia_tao_deploy/cv/{{model_name}}/utils/labels.py",
)
# What models without functions that an export says otherwise do not have.
_OF_REWRITES = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/onnx_rewrites.py"
NEEDED = ("findings", "model_name", "task_type", "image_size", "num_labels", "strategy", "proofs", "branch_name")


def adapt_preprocess(
    preprocess: Mapping[str, Any], native: list[int], height: int, width: int, exact: bool = False
) -> dict[str, Any]:
    """Return the preprocessing for another input size than the model's own.

    Args:
        preprocess: The findings' ``preprocess``.
        native: The model's own height and width in pixels.
        height: Answered height in pixels.
        width: Answered width in pixels.
        exact: Resize to the input size, whatever the model's own recipe is: what is not resized so cannot be placed
            in the picture again.

    Returns:
        ``resize`` with its ``mode`` (``exact``, ``shortest_edge`` or ``none``) and ``size`` in pixels (height and
        width, one length, or nothing), scaled like the input; ``center_crop``; ``crop_rounding`` of half a
        pixel (``down`` or ``even``); ``interpolation``, ``mean``, ``std``.
    """
    order = -1 if preprocess.get("channel_order") == "BGR" else 1  # images stay RGB; the backbone turns them around
    resize = preprocess["resize"] or {"mode": "none"}
    mode = "exact" if exact else resize["mode"]
    if exact:
        size = [height, width]
    elif mode == "exact":
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


def backbone_widths(model_name: str, backbone: Mapping[str, Any]) -> dict[str, int]:
    """Return the widths of the features that enter the head, by the names under which the backbone is registered."""
    widths = {f"{model_name}{variant['suffix']}": variant["feature_dim"] for variant in backbone["variants"]}
    return {**widths, model_name: backbone["feature_dim"]}


def generated_files(root: Path, task_type: str, model_name: str) -> tuple[str, ...]:
    """Return the files that a model of a task can have, relative to the working directory, however it is made."""
    about = tasks.task(root, task_type)
    found = set()
    for strategy in about["strategies"]:
        stack = layers.layers_of(root, about["network"], strategy, *tasks.folders(root, task_type))
        found.update(file.path for file in layers.files(root, stack, model_name, frozenset(about.get("without", ()))))
    return tuple(sorted(found))


def _left_out(about: Mapping[str, Any], measured: Mapping[str, Any]) -> frozenset[str]:
    """Return the files that are generated for other models only: what is known of this one says otherwise."""
    conditions = about.get("only_if", {}).items()
    others = [path for path, wanted in conditions if any(measured[name] != value for name, value in wanted.items())]
    without_classes = () if about["classes"] else _OF_CLASSES
    without_rewrites = () if _rewrites(measured) else (_OF_REWRITES,)
    return frozenset([*about.get("without", ()), *others, *without_classes, *without_rewrites])


def _rewrites(measured: Mapping[str, Any]) -> list[str]:
    """Return the functions that the export says otherwise; versions up to 0.4.0 recorded none."""
    return measured["onnx"].get("rewrites", [])


def _backbone(strategy: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates call ``backbone``; see `network.backbone`.

    Raises:
        UserError: The families of this version of the template refuse what an earlier one took.
    """
    try:
        return network.backbone(strategy, measured)
    except network.NotCovered as reason:
        raise UserError(
            f"This version of the template does not make the backbone with strategy={strategy}: {reason}. Run copier "
            "copy once with the same hf_model_id and model_name, which proves another way; it merges like an update."
        ) from reason


def derived(root: Path, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the derived names, or nothing while answers are missing.

    Args:
        root: Folder of the template.
        answers: Copier's render context.

    Raises:
        UserError: This version of the template does not cover the model's network any more.
    """
    if any(answers.get(name) is None for name in NEEDED):
        return {}
    answers = earlier.brought_up(answers)
    findings = answers["findings"]
    model_name = answers["model_name"]
    about = tasks.task(root, answers["task_type"])
    if about is None or answers["task_type"] != answers["findings"]["task_type"]:
        return {}  # an answer still to be refused
    try:
        strategy = chosen(answers["proofs"], answers["strategy"])
    except UserError:
        return {}  # an answer still to be refused
    measured = answers["proofs"]["measured"][strategy]
    try:
        height, width = height_and_width(answers["image_size"])
    except (TypeError, ValueError):
        return {}  # an answer still to be refused
    stack = layers.layers_of(root, about["network"], strategy, *tasks.folders(root, answers["task_type"]))
    files = layers.files(root, stack, model_name, _left_out(about, measured))
    names = {
        "task": about,
        "files": files,
        "measured": measured,
        "class_name": pascal_case(model_name),
        "height": height,
        "width": width,
        "channels": findings["channels"],
        "bgr": findings["preprocess"].get("channel_order") == "BGR",
        "model_class": findings["model_class"],
        "hf_config": configuration_fields(findings["config"]),
        "pre": adapt_preprocess(
            findings["preprocess"], findings["image_size"], height, width, exact=about["resize"] == "exact"
        ),
        "engine_builder": about["engine_builder"],
        "optim": about["optim"],
        "exporter": measured["onnx"]["exporter"],
        "opset": measured["onnx"]["opset"],
        "rewrites": _rewrites(measured),
        "kept_in_fp32": (measured["onnx"].get("fp16") or {}).get("kept", []),
        "onnx_inputs": [entry["name"] for entry in about["inputs"]],
        "onnx_outputs": about["onnx_outputs"],
    }
    registered = {"module": None, "names": []}
    if about["network"] == "backbone":
        backbone = _backbone(strategy, measured)
        widths = backbone_widths(model_name, backbone)
        registered = {"module": backbone_module(model_name), "names": list(widths)}
        names |= {
            "backbone": backbone,
            "feature_dim": backbone["feature_dim"],
            "backbone_type": model_name,
            "backbone_widths": widths,
            "backbone_module": registered["module"],
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
        **{key: about[key] for key in _OF_TASK},
        "backbone": registered,
        "branch_name": answers["branch_name"],
        "files": [file.path for file in files],
    }
    return names
