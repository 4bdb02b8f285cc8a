"""Step 24: the interactive shells for debugging find the model's console command."""

from __future__ import annotations

from tao_hf.selftest.steps.job import Command, Job, Step


def _shells(job: Job) -> list[Command]:
    argv = ["sh", "-c", f"command -v {job.model}"]
    return [Command(argv), Command(argv, context="deploy")]


STEPS = (
    Step(
        id="24",
        title="Debug shells",
        context="pytorch",
        also_in=("deploy",),
        commands=_shells,
        gate=lambda job: "./tao-hf shell pytorch|deploy",
        needs=("16.origin",),
    ),
)
