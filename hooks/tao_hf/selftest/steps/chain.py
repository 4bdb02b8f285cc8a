"""Step 22: the chain from training to the evaluation of the engine, through the model's own console commands."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tao_hf.selftest import report
from tao_hf.selftest.steps.inputs import count_images, images_folder
from tao_hf.selftest.steps.job import Command, Job, Step, StepError, clear, needs_file
from tao_hf.selftest.steps.specs import spec


def command(subtask: str, spec_name: str, output: str) -> Callable[[Job], list[Command]]:
    """Return the commands of a step that runs one subtask of the model's command.

    Args:
        subtask: such as "train".
        spec_name: one of `specs.SPECS`.
        output: the file or folder in the results that it makes, with {model} for the model's name.
    """

    def commands(job: Job) -> list[Command]:
        clear(job.results / output.format(model=job.model))
        return [Command([job.model, subtask, "-e", spec(job, spec_name)])]

    return commands


def file_gate(relative: str, what: str) -> Callable[[Job], str]:
    """Return a gate that wants a file in the results with something in it."""

    def gate(job: Job) -> str:
        path = needs_file(job.results / relative.format(model=job.model), what)
        return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"

    return gate


def _export_gate(job: Job) -> str:
    """Want an ONNX file, and say how far it is from the model: the last line of the export's status holds that."""
    found = file_gate("export/{model}.onnx", "the ONNX file")(job)
    status = job.results / "export" / "status.json"
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    try:
        kpi = json.loads(lines[-1])["kpi"]
        words = f"{found}, differs from the model by {kpi['onnx_max_abs_diff']:.2g} on {kpi['onnx_images']} images"
        return words + (", as rounding makes it differ from itself" if "onnx_model_own_diff" in kpi else "")
    except (IndexError, KeyError, TypeError, ValueError):  # without ONNX Runtime nothing is compared
        return found


def engine_gate(relative: str, what: str) -> Callable[[Job], str]:
    """Return a gate that wants an engine in the results, and says what built it and what executes it."""

    def gate(job: Job) -> str:
        found = file_gate(relative, what)(job)
        job.figures["engine"] = _described(job.results / relative.format(model=job.model))
        return f"{found}; {report.engine_words(job.figures['engine'])}"

    return gate


def _described(engine: Path) -> dict[str, Any]:
    """Return the ``builder`` and the ``executor`` of an engine; those of the stand-in are archives that name them."""
    if not zipfile.is_zipfile(engine):
        return {"builder": "TensorRT", "executor": "TensorRT"}
    with zipfile.ZipFile(engine) as archive:
        found = json.loads(archive.read("engine.json"))
    return {name: found[name] for name in ("builder", "executor")}


def predictions_gate(folder: str) -> Callable[[Job], str]:
    """Return a gate that wants a result.csv with every test image, once where the task has one row for each."""

    def gate(job: Job) -> str:
        path = needs_file(job.results / folder / "result.csv", "the prediction table")
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row["img_name"] for row in csv.DictReader(file) if row.get("img_name")]
        count = count_images(images_folder(job.dataset, "test"))
        repeats = job.info["rows_per_image"] == "one" and len(rows) != count
        if repeats or len(set(rows)) != count:
            raise StepError(
                f"result.csv holds {len(rows)} rows ({len(set(rows))} images), the test split {count} images"
            )
        return f"{count} images"

    return gate


def metrics(job: Job, folder: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return the numbers of a results.json, and those of them that are metrics; the first is the task's own."""
    path = needs_file(job.results / folder / "results.json", "the metrics file")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise StepError("results.json is not valid JSON") from None
    numbers = {
        key: value
        for key, value in (found.items() if isinstance(found, dict) else ())
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    scores = {key: value for key, value in numbers.items() if key != "num_images"}
    if not scores or not all(map(math.isfinite, numbers.values())):
        raise StepError("results.json holds no metric, or one that is not finite")
    count = count_images(images_folder(job.dataset, "test"))
    if numbers.get("num_images", count) != count:
        raise StepError(f"results.json counts {numbers['num_images']} images, the test split holds {count}")
    return numbers, scores


def _metrics_gate(folder: str, side: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        numbers, scores = metrics(job, folder)
        other = job.figures.get("native")
        if side == "deployed" and other and not (scores.keys() & other.keys()):
            raise StepError("native and deployed results.json have no metric in common")
        job.figures[side] = numbers
        name, value = next(iter(scores.items()))
        return f"{name} {value:.4f}"

    return gate


STEPS = (
    Step(
        id="22.train",
        title="Train",
        context="pytorch",
        commands=command("train", "experiment_spec", "train"),
        gate=file_gate("train/{model}_model_latest.pth", "the checkpoint"),
        needs=("22.prepare",),
    ),
    Step(
        id="22.evaluate",
        title="Evaluate",
        context="pytorch",
        commands=command("evaluate", "experiment_spec", "evaluate"),
        gate=_metrics_gate("evaluate", "native"),
        needs=("22.train",),
        figure="native",
    ),
    Step(
        id="22.inference",
        title="Inference",
        context="pytorch",
        commands=command("inference", "experiment_spec", "inference"),
        gate=predictions_gate("inference"),
        needs=("22.train",),
    ),
    Step(
        id="22.export",
        title="Export to ONNX",
        context="pytorch",
        commands=command("export", "experiment_spec", "export/{model}.onnx"),
        gate=_export_gate,
        needs=("22.train",),
    ),
    Step(
        id="22.gen_trt_engine",
        title="Build the engine",
        context="deploy",
        commands=command("gen_trt_engine", "gen_trt_engine", "trt/{model}.engine"),
        gate=engine_gate("trt/{model}.engine", "the engine"),
        needs=("22.export",),
        figure="engine",
        needs_gpu=True,
    ),
    Step(
        id="22.trt_inference",
        title="Inference with the engine",
        context="deploy",
        commands=command("inference", "inference", "trt_inference"),
        gate=predictions_gate("trt_inference"),
        needs=("22.gen_trt_engine",),
        needs_gpu=True,
    ),
    Step(
        id="22.trt_evaluate",
        title="Evaluation of the engine",
        context="deploy",
        commands=command("evaluate", "evaluate", "trt_evaluate"),
        gate=_metrics_gate("trt_evaluate", "deployed"),
        needs=("22.gen_trt_engine",),
        figure="deployed",
        needs_gpu=True,
    ),
)
