"""Step 23: native against deployed predictions, at FP32 and at FP16."""

from __future__ import annotations

import json

from tao_hf.selftest import report
from tao_hf.selftest.steps.chain import command, engine_gate, predictions_gate
from tao_hf.selftest.steps.job import Command, Job, Step, StepError, needs_file

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
)
