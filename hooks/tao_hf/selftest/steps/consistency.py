"""The consistency check: the model's files agree with each other across the repositories."""

from __future__ import annotations

import json

from tao_hf.selftest.steps.job import Command, Job, Step, StepError, needs_file


def _consistency(job: Job) -> list[Command]:
    options = ["--json", job.log("consistency.json")]
    return [Command([*job.tool("check.consistency"), job.inside(), job.model, *options])]


def _consistency_gate(job: Job) -> str:
    found = needs_file(job.logs / "consistency.json", "the list of findings")
    findings = json.loads(found.read_text(encoding="utf-8"))["findings"]
    broken = [finding["title"] for finding in findings if not finding["ok"]]
    if broken:
        raise StepError(f"{len(broken)} of {len(findings)} items are broken: {'; '.join(broken)}")
    return f"{len(findings)} items agree"


CONSISTENCY = Step(
    id="consistency",
    title="Consistency check",
    context="pytorch",
    commands=_consistency,
    gate=_consistency_gate,
    needs=("16",),
    quick=True,
    explains=True,
)
STEPS = (CONSISTENCY,)
