"""The start of step 22: the dataset, and the spec files of this run."""

from __future__ import annotations

import json
import re
from typing import Any

from tao_hf.selftest.steps.inputs import check_data, count_images, images_folder
from tao_hf.selftest.steps.job import Command, Job, Step, StepError, clear, needs_file

SPECS = (
    "experiment_spec",
    *("gen_trt_engine", "inference", "evaluate"),
    *("gen_trt_engine_fp16", "inference_fp16"),
    *("gen_trt_engine_int8", "evaluate_int8"),
)
_CALIBRATION_BATCHES, _CALIBRATION_BATCH_SIZE = 16, 8  # at most
_SYNTHETIC_CLASSES = 4
_SAFE_PATH = re.compile(r"^[\w./+@:,=~-]+$")


def spec(job: Job, name: str) -> str:
    """Return one of SPECS as the runtime sees it."""
    return job.result("specs", f"{name}.yaml")


def _base(job: Job, name: str) -> str:
    if name == "experiment_spec":
        return f"tao-pytorch/nvidia_tao_pytorch/cv/{job.model}/experiment_specs/{name}.yaml"
    return f"tao-deploy/nvidia_tao_deploy/cv/{job.model}/specs/{name.removesuffix('_fp16').removesuffix('_int8')}.yaml"


def _filled(value: Any, data: str) -> Any:
    """Return a task's setting for a dataset, with the dataset's folder in the place of {data}."""
    if isinstance(value, str):
        return value.replace("{data}", data)
    if isinstance(value, list):
        return [_filled(item, data) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, data) for key, item in value.items()}
    return value


def _values(job: Job, classes: int) -> dict[str, dict[str, object]]:
    """Return what this run sets in each of SPECS; `classes` is 0 for a task without them."""
    data = job.runtime.path(job.dataset)
    common: dict[str, object] = {"results_dir": job.result(), "dataset.root_dir": data}
    if classes:
        common["dataset.num_classes"] = classes
    common |= {key: _filled(value, data) for key, value in job.info["data_settings"].items()}
    onnx_file = job.result("export", f"{job.model}.onnx")
    native = {
        **common,
        "dataset.batch_size": 8,
        "dataset.workers": 0,
        "train.num_epochs": 1,
        "train.checkpoint_interval": 1,
        "train.validation_interval": 1,
        "train.optim.warmup_epochs": 0,
        "export.onnx_file": onnx_file,
        "export.results_dir": job.result("export"),
    }
    for task in ("train", "evaluate", "inference"):
        native |= {f"{task}.num_gpus": 1, f"{task}.gpu_ids": [0], f"{task}.results_dir": job.result(task)}
    native |= {f"{task}.on_cpu": not job.runtime.gpu for task in ("train", "evaluate", "inference", "export")}
    checkpoint = job.result("train", f"{job.model}_model_latest.pth")
    native |= {f"{task}.checkpoint": checkpoint for task in ("evaluate", "inference", "export")}
    values = {"experiment_spec": native}
    for precision, ending in (("FP32", ""), ("FP16", "_fp16"), ("INT8", "_int8")):
        engine = job.result("trt", f"{job.model}{ending}.engine")
        values[f"gen_trt_engine{ending}"] = {
            **common,
            "gen_trt_engine.results_dir": job.result("trt"),
            "gen_trt_engine.onnx_file": onnx_file,
            "gen_trt_engine.trt_engine": engine,
            "gen_trt_engine.tensorrt.data_type": precision,
        }
        for task in ("inference", "evaluate"):
            if f"{task}{ending}" in SPECS:
                folder = job.result(f"trt_{task}{ending}")
                values[f"{task}{ending}"] = {**common, f"{task}.results_dir": folder, f"{task}.trt_engine": engine}
    values["gen_trt_engine_int8"] |= _calibration(job)
    return values


def _calibration(job: Job) -> dict[str, object]:
    """Return the settings of the calibration on the training images."""
    images = images_folder(job.dataset, "train")
    batches = max(1, min(_CALIBRATION_BATCHES, count_images(images) // _CALIBRATION_BATCH_SIZE))
    found = {
        "cal_image_dir": [job.runtime.path(images)],
        "cal_cache_file": job.result("trt", f"{job.model}_int8.cal"),
        "cal_batches": batches,
        "cal_batch_size": _CALIBRATION_BATCH_SIZE,
    }
    return {f"gen_trt_engine.tensorrt.calibration.{key}": value for key, value in found.items()}


def _prepare(job: Job) -> list[Command]:
    for path in (job.inside(), job.runtime.path(job.dataset)):
        if not _SAFE_PATH.match(path):
            raise StepError(f"TAO's launcher cannot take a path with blanks or quotes; move {path} to a plainer one")
    clear(job.results)  # an old checkpoint would make the training resume
    job.results.mkdir(parents=True)
    commands = []
    if job.data:
        classes = len(check_data(job.data, job.info["data_files"], bool(job.info["num_labels"])))
    else:
        classes = max(2, min(_SYNTHETIC_CLASSES, job.info["num_labels"])) if job.info["num_labels"] else 0
        height, width = (str(size) for size in job.info["image_size"])
        argv = [*job.tool("tools.dataset"), job.info["task_type"], job.runtime.path(job.dataset)]
        argv += ["--classes", str(classes), "--height", height, "--width", width]
        argv += ["--channels", str(job.info["channels"])]
        commands.append(Command(argv))
    values = _values(job, classes)
    files = [{"base": job.inside(_base(job, name)), "out": spec(job, name), "values": values[name]} for name in SPECS]
    task = {"model": job.model, "settings": list(job.settings), "specs": files}
    (job.results / "specs.json").write_text(json.dumps(task, indent=2) + "\n", encoding="utf-8")
    return [*commands, Command([*job.tool("tools.specs"), job.result("specs.json")])]


def _prepare_gate(job: Job) -> str:
    for name in SPECS:
        needs_file(job.results / "specs" / f"{name}.yaml", "the run's spec file")
    count = count_images(images_folder(job.dataset, "test"))
    if not count:
        raise StepError(f"no images under {images_folder(job.dataset, 'test')}")
    kind = "your dataset" if job.data else "a synthetic dataset"
    return f"{kind}, {count} test images"


PREPARE = Step(
    id="22.prepare",
    title="Data and spec files",
    context="pytorch",
    commands=_prepare,
    gate=_prepare_gate,
    needs=("17",),
)
STEPS = (PREPARE,)
