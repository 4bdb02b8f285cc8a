"""Step 22: the chain from training to the TensorRT evaluation, through the model's own console commands."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable

from tao_hf.steps.inputs import check_data, count_images
from tao_hf.steps.job import Command, Job, Step, StepError, needs_file

SYNTHETIC_CLASSES = 4
SAFE_PATH = re.compile(r"^[\w./+@:,=~-]+$")


def _spec_values(job: Job, classes: int, batch: int) -> dict[str, dict[str, object]]:
    """Return what this run sets in the training spec and in each deploy spec, by spec name."""
    results, data = job.inside(".tao-hf", job.model, "results"), job.runtime.path(job.dataset)
    dataset: dict[str, object] = {"dataset.root_dir": data, "dataset.num_classes": classes}
    dataset |= {f"dataset.{name}_dataset.images_dir": f"{data}/{name}" for name in ("train", "val", "test")}
    checkpoint = f"{results}/train/{job.model}_model_latest.pth"
    onnx_file, engine = f"{results}/export/{job.model}.onnx", f"{results}/trt/{job.model}.engine"
    common = {"results_dir": results, **dataset}
    native = {
        **common,
        "dataset.batch_size": batch,
        "dataset.workers": 0,
        "train.num_epochs": 1,
        "train.checkpoint_interval": 1,
        "train.validation_interval": 1,
        "train.optim.warmup_epochs": 0,
        "export.onnx_file": onnx_file,
    }
    for task in ("train", "evaluate", "inference"):
        native |= {f"{task}.num_gpus": 1, f"{task}.gpu_ids": [0], f"{task}.results_dir": f"{results}/{task}"}
    native |= {f"{task}.checkpoint": checkpoint for task in ("evaluate", "inference", "export")}
    return {
        "experiment_spec": {**native, "export.results_dir": f"{results}/export"},
        "gen_trt_engine": {
            **common,
            "gen_trt_engine.results_dir": f"{results}/trt",
            "gen_trt_engine.onnx_file": onnx_file,
            "gen_trt_engine.trt_engine": engine,
            "gen_trt_engine.tensorrt.data_type": job.precision,
        },
        "inference": {**common, "inference.results_dir": f"{results}/trt_inference", "inference.trt_engine": engine},
        "evaluate": {**common, "evaluate.results_dir": f"{results}/trt_evaluate", "evaluate.trt_engine": engine},
    }


def _base_spec(job: Job, name: str) -> str:
    if name == "experiment_spec":
        return f"tao-pytorch/nvidia_tao_pytorch/cv/{job.model}/experiment_specs/{name}.yaml"
    return f"tao-deploy/nvidia_tao_deploy/cv/{job.model}/specs/{name}.yaml"


def _spec(job: Job, name: str) -> str:
    return job.inside(".tao-hf", job.model, "results", "specs", f"{name}.yaml")


def _prepare(job: Job) -> list[Command]:
    for path in (job.inside(), job.runtime.path(job.dataset)):
        if not SAFE_PATH.match(path):
            raise StepError(
                f"TAO's launcher cannot take a path with blanks or quotes; move {path} to a plainer one"
            )
    shutil.rmtree(job.results, ignore_errors=True)  # an old checkpoint would make the training resume
    job.results.mkdir(parents=True)
    commands = []
    if job.data:
        classes = len(check_data(job.data))
    else:
        classes = max(2, min(SYNTHETIC_CLASSES, job.info["num_labels"]))
        height, width = (str(size) for size in job.info["image_size"])
        argv = ["python", job.tool("dataset.py"), job.runtime.path(job.dataset), "--classes", str(classes)]
        argv += ["--height", height, "--width", width, "--channels", str(job.info["channels"])]
        commands.append(Command(argv))
    values = _spec_values(job, classes, batch=8)
    specs = [
        {"base": job.inside(_base_spec(job, name)), "out": _spec(job, name), "values": values[name]} for name in values
    ]
    task = {"model": job.model, "settings": list(job.settings), "specs": specs}
    (job.results / "specs.json").write_text(json.dumps(task, indent=2) + "\n", encoding="utf-8")
    argv = ["python", job.tool("specs.py"), job.inside(".tao-hf", job.model, "results", "specs.json")]
    return [*commands, Command(argv)]


def _prepare_gate(job: Job) -> str:
    for name in ("experiment_spec", "gen_trt_engine", "inference", "evaluate"):
        needs_file(job.results / "specs" / f"{name}.yaml", "the run's spec file")
    count = count_images(job.dataset / "test")
    if not count:
        raise StepError(f"no images under {job.dataset / 'test'}")
    kind = "your dataset" if job.data else "a synthetic dataset"
    return f"{kind}, {count} test images"


def _command(subtask: str, spec: str) -> Callable[[Job], list[Command]]:
    return lambda job: [Command([job.model, subtask, "-e", _spec(job, spec)])]


def _file_gate(relative: str, what: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        path = needs_file(job.results / relative.format(model=job.model), what)
        return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"

    return gate


def _csv_gate(folder: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
        path = needs_file(job.results / folder / "result.csv", "the prediction table")
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row["img_name"] for row in csv.DictReader(file) if row.get("img_name")]
        count = count_images(job.dataset / "test")
        if len(rows) != count or len(set(rows)) != count:
            raise StepError(
                f"result.csv holds {len(rows)} rows ({len(set(rows))} images), the test split {count} images"
            )
        return f"{count} images"

    return gate


def _metrics_gate(folder: str, side: str) -> Callable[[Job], str]:
    def gate(job: Job) -> str:
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
        count = count_images(job.dataset / "test")
        if numbers.get("num_images", count) != count:
            raise StepError(f"results.json counts {numbers['num_images']} images, the test split holds {count}")
        other = job.metrics["native"]
        if side == "deployed" and other and not (scores.keys() & other.keys()):
            raise StepError("native and deployed results.json have no metric in common")
        job.metrics[side] = numbers
        name, value = next(iter(scores.items()))
        return f"{name} {value:.4f}"

    return gate


STEPS = (
    Step("22.prepare", "Data and spec files", "pytorch", _prepare, _prepare_gate, ("17",)),
    Step(
        "22.train",
        "Train",
        "pytorch",
        _command("train", "experiment_spec"),
        _file_gate("train/{model}_model_latest.pth", "the checkpoint"),
        ("22.prepare",),
    ),
    Step(
        "22.evaluate",
        "Evaluate",
        "pytorch",
        _command("evaluate", "experiment_spec"),
        _metrics_gate("evaluate", "native"),
        ("22.train",),
    ),
    Step(
        "22.inference",
        "Inference",
        "pytorch",
        _command("inference", "experiment_spec"),
        _csv_gate("inference"),
        ("22.train",),
    ),
    Step(
        "22.export",
        "Export to ONNX",
        "pytorch",
        _command("export", "experiment_spec"),
        _file_gate("export/{model}.onnx", "the ONNX file"),
        ("22.train",),
    ),
    Step(
        "22.gen_trt_engine",
        "Build the TensorRT engine",
        "deploy",
        _command("gen_trt_engine", "gen_trt_engine"),
        _file_gate("trt/{model}.engine", "the engine"),
        ("22.export",),
    ),
    Step(
        "22.trt_inference",
        "TensorRT inference",
        "deploy",
        _command("inference", "inference"),
        _csv_gate("trt_inference"),
        ("22.gen_trt_engine",),
    ),
    Step(
        "22.trt_evaluate",
        "TensorRT evaluation",
        "deploy",
        _command("evaluate", "evaluate"),
        _metrics_gate("trt_evaluate", "deployed"),
        ("22.gen_trt_engine",),
    ),
)
