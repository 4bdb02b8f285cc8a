"""Step 23: native against deployed predictions."""

from __future__ import annotations

import json

from tao_hf.steps.job import Command, Job, Step, StepError, needs_file


def _cross_check(job: Job) -> list[Command]:
    native, deployed = (
        job.inside(".tao-hf", job.model, "results", folder, "result.csv") for folder in ("inference", "trt_inference")
    )
    out = job.inside(".tao-hf", job.model, "logs", "23.json")
    return [
        Command(["python", job.tool("crosscheck.py"), native, deployed, "--precision", job.precision, "--json", out])
    ]


def _cross_check_gate(job: Job) -> str:
    result = json.loads(needs_file(job.logs / "23.json", "the comparison").read_text(encoding="utf-8"))
    job.cross_check = {key: result[key] for key in ("images", "agreement", "max_abs_diff", "precision")}
    if result["problems"]:
        raise StepError("; ".join(result["problems"]))
    return f"{result['agreement']:.2%} same label, largest difference {result['max_abs_diff']:.3g}"


STEPS = (
    Step(
        "23",
        "Native against deployed",
        "deploy",
        _cross_check,
        _cross_check_gate,
        ("22.inference", "22.trt_inference"),
        explains=True,
    ),
)
