"""Step 23: native against deployed predictions, at FP32 and at FP16, and what INT8 loses of the metric."""

from __future__ import annotations

import json

from tao_hf.selftest import report
from tao_hf.selftest.steps.chain import command, engine_gate, metrics, predictions_gate
from tao_hf.selftest.steps.job import Command, Job, Step, StepError, clear, needs_file

_MOST_LOST = 0.01  # of a metric between 0 and 1, at INT8
_NAMED = 3  # layers
_KEPT = ("images", "agreement", "max_abs_diff", "precision", "words")


def _compare(job: Job, step_id: str, deployed: str, precision: str) -> Command:
    folders = [job.result(folder) for folder in ("inference", deployed)]
    options = ["--precision", precision, "--json", job.log(f"{step_id}.json")]
    return Command([*job.tool("check.crosscheck"), job.info["task_type"], *folders, *options])


def _compared(job: Job, step_id: str, figure: str) -> str:
    result = json.loads(needs_file(job.logs / f"{step_id}.json", "the comparison").read_text(encoding="utf-8"))
    job.figures[figure] = {key: result[key] for key in _KEPT}
    if result["problems"]:
        raise StepError("; ".join(result["problems"]))
    return report.comparison(result)


def _fp16(job: Job) -> list[Command]:
    return [
        *command("gen_trt_engine", "gen_trt_engine_fp16", "trt/{model}_fp16.engine")(job),
        *command("inference", "inference_fp16", "trt_inference_fp16")(job),
        _compare(job, "23.fp16", "trt_inference_fp16", "FP16"),
    ]


def _fp16_gate(job: Job) -> str:
    engine_gate("trt/{model}_fp16.engine", "the FP16 engine")(job)
    predictions_gate("trt_inference_fp16")(job)
    return _compared(job, "23.fp16", "fp16")


def _int8(job: Job) -> list[Command]:
    clear(job.results / "trt" / f"{job.model}_int8.cal")  # scales of another training
    return [
        *command("gen_trt_engine", "gen_trt_engine_int8", "trt/{model}_int8.engine")(job),
        *command("evaluate", "evaluate_int8", "trt_evaluate_int8")(job),
    ]


def _int8_gate(job: Job) -> str:
    engine_gate("trt/{model}_int8.engine", "the INT8 engine")(job)
    file = needs_file(job.results / "trt" / f"{job.model}_int8.engine.layers.json", "the accuracy of the layers")
    layers = json.loads(file.read_text(encoding="utf-8"))
    numbers, scores = metrics(job, "trt_evaluate_int8")
    metric = next(iter(scores))
    native, deployed = job.figures["native"][metric], scores[metric]
    found = {
        "metric": metric,
        "native": native,
        "deployed": deployed,
        "loss": native - deployed if job.info["best_metric"] == "highest" else deployed - native,
        "kept": layers["kept"],
        "images": numbers.get("num_images"),
    }
    job.figures["int8"] = found
    if found["loss"] >= _MOST_LOST:
        worst = [name for name in layers["decibels"] if name not in layers["kept"]][:_NAMED]
        keep = ",".join(f"{name}:fp32" for name in worst)
        raise StepError(
            f"{report.int8_words(found)}, and may lose less than {_MOST_LOST}; the layers that cost most are "
            f"{', '.join(worst) or 'none'}: keep them with --set 'gen_trt_engine.tensorrt.layers_precision=[{keep}]'"
        )
    return report.int8_words(found)


STEPS = (
    Step(
        id="23",
        title="Native against deployed",
        context="deploy",
        commands=lambda job: [_compare(job, "23", "trt_inference", "FP32")],
        gate=lambda job: _compared(job, "23", "fp32"),
        needs=("22.inference", "22.trt_inference"),
        figure="fp32",
        explains=True,
        needs_gpu=True,
    ),
    Step(
        id="23.fp16",
        title="Native against deployed, FP16",
        context="deploy",
        commands=_fp16,
        gate=_fp16_gate,
        needs=("22.inference", "22.export"),
        figure="fp16",
        explains=True,
        needs_gpu=True,
    ),
    Step(
        id="23.int8",
        title="Native against deployed, INT8",
        context="deploy",
        commands=_int8,
        gate=_int8_gate,
        needs=("22.evaluate", "22.export"),
        figure="int8",
        needs_gpu=True,
        needs_data=True,
    ),
)
