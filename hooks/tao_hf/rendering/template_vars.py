"""The names that templates use, derived from the answers alone, so that an update renders without the model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tao_hf.answers.strategy import chosen
from tao_hf.answers.validators import height_and_width
from tao_hf.base.errors import UserError
from tao_hf.rendering import tasks
from tao_hf.rendering.literals import pascal_case

# Where a room's parts belong.
_PARTS = {
    "core": "tao-core/nvidia_tao_core/config",
    "pytorch": "tao-pytorch/nvidia_tao_pytorch/cv",
    "deploy": "tao-deploy/nvidia_tao_deploy/cv",
}
# What the tests of a model must know of its task.
_OF_TASK = ("network", "rows_per_image", "data_files", "data_settings", "shared_settings")
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


def backbone_file(root: Path, task_type: str, model_name: str) -> str:
    """Return the name of the file of `backbone_module`, "" for a task whose network is not made of a backbone."""
    return f"{backbone_module(model_name)}.py" if tasks.task(root, task_type)["network"] == "backbone" else ""


def backbone_widths(model_name: str, backbone: Mapping[str, Any]) -> dict[str, int]:
    """Return the widths of the features that enter the head, by the names under which the backbone is registered."""
    widths = {f"{model_name}{variant['suffix']}": variant["feature_dim"] for variant in backbone["variants"]}
    return {**widths, model_name: backbone["feature_dim"]}


def extra_files(
    root: Path, task_type: str, model_name: str, plan: Mapping[str, Any] | None = None
) -> list[dict[str, str]]:
    """Return the files that not every task has: what lies in ``files/`` of the task's room and of its network's.

    Args:
        root: Folder of the template.
        task_type: The task.
        model_name: The model.
        plan: What is known of the model, to leave out what its task generates only for others; all without it.

    Returns:
        For each, its ``path`` in the working directory and the ``partial`` that it is rendered from.
    """
    return [
        {"path": f"{folder}/{model_name}/{relative}", "partial": partial}
        for folder, relative, partial, wanted in _partials(root, task_type)
        if plan is None or all(plan[name] == value for name, value in wanted.items())
    ]


@cache
def _partials(root: Path, task_type: str) -> tuple[tuple[str, str, str, dict[str, Any]], ...]:
    """Return each file of ``files/``: folder of its models, path below a model, partial, and what a plan must say.

    Copier asks for the names of templates with every text that it renders; the folders are read once.
    """
    about = tasks.task(root, task_type)
    found = []
    for room in (f"tasks/{tasks.folder(task_type)}", f"networks/{about['network']}"):
        for part, folder in _PARTS.items():
            files = root / room / part / "files"
            for path in sorted(files.rglob("*.jinja")):
                wanted = about.get("only_if", {}).get(path.relative_to(root / room).as_posix(), {})
                relative = path.relative_to(files).as_posix().removesuffix(".jinja")
                found.append((folder, relative, path.relative_to(root).as_posix(), wanted))
    return tuple(found)


@cache
def _thin_files(root: Path) -> tuple[str, ...]:
    """Return the names of the files that every task has, with their placeholders."""
    incoming = root / "template" / ".tao-hf" / "{{model_name}}" / "incoming"
    return tuple(path.relative_to(incoming).as_posix().removesuffix(".jinja") for path in incoming.glob("*/**/*.jinja"))


def generated_files(
    root: Path, task_type: str, model_name: str, plan: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Return the files of a model in the repositories, relative to the working directory; see `extra_files`."""
    names = {"{{model_name}}": model_name, "{{backbone_file}}": backbone_file(root, task_type, model_name)}
    files = [extra["path"] for extra in extra_files(root, task_type, model_name, plan)]
    for thin in _thin_files(root):
        relative = thin
        for name, value in names.items():
            relative = relative.replace(name, value)
        if not relative.endswith("/"):  # Copier leaves out files without a name
            files.append(relative)
    return tuple(sorted(files))


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
    about = tasks.task(root, answers["task_type"])
    if about is None or answers["task_type"] != answers["findings"]["task_type"]:
        return {}  # an answer still to be refused
    try:
        strategy = chosen(answers["proofs"], answers["strategy"])
    except UserError:
        return {}  # an answer still to be refused
    plan = answers["proofs"]["plans"][strategy]
    try:
        height, width = height_and_width(answers["image_size"])
    except (TypeError, ValueError):
        return {}  # an answer still to be refused
    names = {
        "task_room": tasks.folder(answers["task_type"]),
        "network_room": about["network"],
        "strategy_room": strategy,
        "plan": plan,
        "class_name": pascal_case(model_name),
        "height": height,
        "width": width,
        "channels": findings["channels"],
        "bgr": findings["preprocess"].get("channel_order") == "BGR",
        "model_class": findings["model_class"],
        "hf_config": {key: value for key, value in findings["config"].items() if key != "model_type"},
        "pre": adapt_preprocess(
            findings["preprocess"], findings["image_size"], height, width, exact=about["resize"] == "exact"
        ),
        "engine_builder": about["engine_builder"],
        "optim": about["optim"],
        "exporter": plan["onnx"]["exporter"],
        "opset": plan["onnx"]["opset"],
        "onnx_inputs": [entry["name"] for entry in about["inputs"]],
        "onnx_outputs": about["onnx_outputs"],
        "backbone_file": backbone_file(root, answers["task_type"], model_name),
        "extra_files": extra_files(root, answers["task_type"], model_name, plan),
    }
    registered = {"module": None, "names": []}
    if about["network"] == "backbone":
        widths = backbone_widths(model_name, plan)
        registered = {"module": backbone_module(model_name), "names": list(widths)}
        names |= {
            "backbone": plan,
            "feature_dim": plan["feature_dim"],
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
        "files": list(generated_files(root, answers["task_type"], model_name, plan)),
    }
    return names
