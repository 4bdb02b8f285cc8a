"""Inspect one Hugging Face model, in one process, without its weights: findings as JSON.

    python -m tao_hf.in_runtime.probe.run hub|local MODEL REVISION TASK FINDINGS REPORT

Runs inside the runtime; an empty REVISION is the default branch, an empty TASK the likeliest one. Ends with
status 0 and both files written, or with status 3 and FINDINGS holding `{"error": {"kind", "message"}}`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TRANSFORMERS_VERBOSITY="error",
    TOKENIZERS_PARALLELISM="false",
)
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from tao_hf.base.paths import TEMPLATE  # noqa: E402
from tao_hf.in_runtime import task_code  # noqa: E402
from tao_hf.in_runtime.probe import config as facts  # noqa: E402
from tao_hf.in_runtime.probe import model as anatomy  # noqa: E402
from tao_hf.in_runtime.probe import onnx_check, preprocess, task, task_words, timm_models  # noqa: E402
from tao_hf.in_runtime.probe.checkpoint import byte_count, element_count  # noqa: E402
from tao_hf.in_runtime.probe.common import ProbeError, clean  # noqa: E402
from tao_hf.in_runtime.probe.source import Source, from_directory, from_hub  # noqa: E402
from tao_hf.rendering import tasks  # noqa: E402

FAILED = 3


def main(argv: list[str]) -> int:
    """Run the probe; see the module."""
    kind, model, revision, wanted, findings_file, report_file = argv
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tao-hf-probe-") as folder:
            findings, tensors = inspect(kind, model, revision or None, Path(folder), wanted or None)
    except ProbeError as error:
        Path(findings_file).write_text(
            json.dumps({"error": {"kind": error.kind, "message": error.message}}), encoding="utf-8"
        )
        return FAILED
    findings["seconds"] = round(time.monotonic() - started, 2)
    Path(report_file).write_text(json.dumps({**findings, "tensors": tensors}, indent=1), encoding="utf-8")
    Path(findings_file).write_text(json.dumps(findings, indent=1), encoding="utf-8")
    return 0


def inspect(
    kind: str, model: str, revision: str | None, folder: Path, wanted: str | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the findings and the list of checkpoint tensors.

    Args:
        kind: "hub" or "local".
        model: Hub id or directory.
        revision: branch, tag or commit; None for the default branch.
        folder: an empty directory for the model's small files.
        wanted: the task that the model is to be for; None for the likeliest of those that it can be for.

    Raises:
        ProbeError: the model cannot become a TAO model, or cannot be read.
    """
    _say("reading the configuration")
    source = from_hub(model, revision, folder, task.check_tag) if kind == "hub" else from_directory(Path(model))
    facts.check_bounds(source.config)
    facts.check_usable(source.config)
    source = timm_models.adapted(source)
    config = source.config
    configured = source.size or facts.image_size(config)
    _say("loading transformers")
    task.check_native(config)
    possible = task.find(source.pipeline_tag, config)
    task_type = task.choose(possible, wanted, [Path(model).name, str(config.get("_name_or_path") or "")])
    cls = possible[task_type]
    about = tasks.task(TEMPLATE, task_type)
    outputs = task_code.load(task_type, "outputs")
    wraps_timm = config.get("model_type") == timm_models.MODEL_TYPE
    built = timm_models.build(config) if wraps_timm else facts.build(source.folder)
    told = task_words.told(built, source.folder, task_type)
    config |= told
    vars(built).update(told)
    classes, names, label_problem, notes = 0, [], None, []
    if about is None or about["classes"]:
        classes = int(getattr(built, "num_labels", 0) or 0)
        names, label_problem, notes = facts.labels(config, built, classes, bool(outputs and outputs.LABEL_GAPS))
    if names:
        classes = len(names)
        built = anatomy.with_classes(built, classes)

    _say("building the model without weights")
    network = anatomy.on_meta(cls, built)
    head, width = anatomy.find_head(cls, built, network, classes)
    if about and about["network"] == "backbone" and width is None:
        raise ProbeError("rejected_task", f"{cls.__name__} has no classifier whose size follows the number of classes.")
    channels = anatomy.input_channels(network) or facts.channels(config) or 3
    facts.check_channels(channels)

    _say("measuring the preprocessing")
    exact = about is not None and about["resize"] == "exact"
    recipe, size, more, difference = preprocess.read(source, configured, channels, exact)
    notes += more
    size = _accepted_size(network, size, configured, channels, recipe, notes)
    if wraps_timm:
        timm_models.check_size(anatomy.accepts(network, size, channels), size)
    checkpoint = _checkpoint(source, cls, built, network)
    _check_shapes(checkpoint["mismatched"], source, network, head, classes)

    _say("checking the ONNX export")
    patch = timm_models.patch_size(network) if wraps_timm else facts.patch_size(built)
    onnx = (
        onnx_check.check(cls, built, size, channels, patch, outputs, about["onnx_outputs"])
        if outputs
        else onnx_check.not_checked(f"the export check does not cover {task_type} yet")
    )
    findings = {
        "schema": 1,
        "hf_model_id": model,
        "source": kind,
        "revision": source.revision,
        "pipeline_tag": source.pipeline_tag or task_type,
        "task_type": task_type,
        "task_types": list(possible),
        "library": source.library,
        "architectures": task.architectures_of(config),
        "model_type": built.model_type,
        "model_class": cls.__name__,
        "suggested_name": facts.suggested_name(model),
        "image_size": size,
        "channels": channels,
        "hidden_size": timm_models.hidden_size(network) if wraps_timm else facts.hidden_size(built),
        "num_layers": facts.num_layers(built),
        "patch_size": patch,
        "feature_dim": width,
        "output": anatomy.output_name(network, size, channels),
        "num_labels": classes,
        "labels": names,
        "label_problem": label_problem,
        "preprocess": recipe.findings(),
        "preprocess_max_abs_diff": difference,
        "config": {**facts.portable(config), "model_type": built.model_type},
        "head": head,
        "checkpoint": checkpoint,
        "onnx": onnx,
        "notes": [clean(note, 300) for note in notes],
        "versions": _versions(),
    }
    return findings, _tensors(source, head)


def _accepted_size(
    network: Any,
    size: list[int],
    configured: list[int] | None,
    channels: int,
    recipe: preprocess.Recipe,
    notes: list[str],
) -> list[int]:
    """Return the size that the model takes: the preprocessor's, else the configuration's with the recipe adapted."""
    if configured is None or configured == size or anatomy.accepts(network, size, channels):
        return size
    if not anatomy.accepts(network, configured, channels):
        return size
    notes.append(
        f"the preprocessor makes {size[0]}x{size[1]} pixels but the model takes {configured[0]}x{configured[1]}: "
        "an exact resize to the model's size is used"
    )
    recipe.resize, recipe.crop = {"mode": "exact", "height": configured[0], "width": configured[1]}, None
    return configured


def _checkpoint(source: Source, cls: Any, built: Any, network: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "format": source.format,
        "tensors": len(source.tensors),
        "parameters": sum(element_count(tensor) for tensor in source.tensors.values()),
        "bytes": sum(byte_count(tensor) for tensor in source.tensors.values()),
        "missing": [],
        "unexpected": [],
        "mismatched": [],
    }
    if source.tensors:
        entry.update(anatomy.compare_checkpoint(cls, built, network, source.tensors))
    return entry


def _check_shapes(mismatched: list[str], source: Source, network: Any, head: dict[str, Any], classes: int) -> None:
    """Refuse a checkpoint with tensors of other shapes than config.json asks for: no loader takes it.

    Raises:
        ProbeError: bad_labels where it is the head's, else bad_checkpoint.
    """
    if not mismatched:
        return
    of_the_head = [name for name in mismatched if name in head["parameters"]]
    name = next((name for name in (of_the_head or mismatched) if name in source.tensors), mismatched[0])
    shape = f", of shape {source.tensors[name]['shape']}," if name in source.tensors else ""
    if of_the_head:
        raise ProbeError(
            "bad_labels",
            f"config.json names {classes} classes, and {name}{shape} in the checkpoint is the head of another number; "
            "correct id2label in config.json or save the model again.",
        )
    wanted = {key: list(value.shape) for key, value in network.state_dict().items()}.get(name)
    raise ProbeError(
        "bad_checkpoint",
        f"{len(mismatched)} tensors of the checkpoint do not fit config.json: {name}{shape} must be "
        f"{wanted or 'of another shape'}; take the config.json that belongs to the checkpoint.",
    )


def _tensors(source: Source, head: dict[str, list[str]]) -> list[dict[str, Any]]:
    def part(name: str) -> str:
        inside = name in head["parameters"] or any(
            name.startswith(f"{module}.") for module in head["modules"] if module
        )
        return "head" if inside else "backbone"

    return [{"name": clean(name), **tensor, "part": part(name)} for name, tensor in source.tensors.items()]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
