"""Which steps a test runs, what it takes over from the last one, and when a step cannot run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tao_hf.selftest import report
from tao_hf.selftest.steps.job import Job, Step
from tao_hf.selftest.steps.specs import PREPARE
from tao_hf.workdir import records

NOT_QUICK = "part of the full test only: ./tao-hf test MODEL --full"
NOT_SELECTED = "not selected"
NO_CONTAINERS = "about the TAO containers, which this working directory does without (./tao-hf phase0)"
NO_DATA = "says something only of your own images: ./tao-hf test MODEL --full --data FOLDER"
NO_GPU = "no GPU, which TensorRT needs"


def find_stand_ins(job: Job) -> list[str]:
    """Return the stand-ins in use: modules the runtime lacks, and tao-pytorch where no clone of it could be had.

    The runtime is asked once; with Docker, that starts the containers.
    """
    if job.stand_ins is None:
        job.stand_ins = sorted({*job.runtime.stand_ins(job.workdir), *_embedded(job.workdir)})
    return job.stand_ins


def _embedded(workdir: Path) -> list[str]:
    found = records.repositories(workdir).get("tao-pytorch", {})
    return ["tao-pytorch"] if found.get("source") == "embedded" else []


def begin(steps: Sequence[Step], job: Job, level: str, selected: Collection[str] | None) -> dict[str, Any]:
    """Return the report as it stands before the first step, and save it; `last_run` names the steps to run.

    What an earlier test in the same runtime found of steps that are not selected is taken over, as are the dataset and
    the settings when the step that uses them is not selected.
    """
    titles = [(step.id, step.title) for step in steps]
    last = report.load(job.home) if selected is not None else None
    if last and last["runtime"] != job.runtime.kind:
        last = None
    kept = {entry["id"]: entry for entry in last["steps"]} if last else {}
    if selected is None:
        for old in job.logs.glob("*"):
            old.unlink()
    else:
        passed = {step_id for step_id, entry in kept.items() if entry["status"] == "passed"}
        selected = _with_preconditions(steps, selected, passed)
        level = last["level"] if last else "selected"
    result = report.new_report(job.info, job.runtime.kind, _embedded(job.workdir), titles, level)
    if last:
        result["stand_ins"] = last["stand_ins"]
        job.figures = report.figures_of(last)
        if PREPARE.id not in selected:
            job.data = Path(last["data"]) if last["data"] else None
            job.settings = tuple(last["settings"])
    result["data"], result["settings"] = str(job.data) if job.data else None, list(job.settings)
    for step in steps:
        if selected is None or step.id in selected:
            reason = _left_out(step, job, level if selected is None else None)
            job.figures.pop(step.figure, None)
            if reason:
                report.set_step(result, step.id, "skipped", reason=reason)
            else:
                result["last_run"].append(step.id)
        elif step.id in kept:
            report.step_of(result, step.id).update(kept[step.id], title=step.title)
        else:
            report.set_step(result, step.id, "skipped", reason=NOT_SELECTED)
    report.set_figures(result, job.figures)
    report.save(result, job.home)
    return result


def _with_preconditions(steps: Sequence[Step], selected: Collection[str], passed: Collection[str]) -> set[str]:
    """Return the selected steps and the preconditions that they need, directly or not, and that have not passed."""
    wanted = set(selected)
    for step in reversed(steps):
        needed = any(step.id in other.needs for other in steps if other.id in wanted)
        if step.precondition and needed and step.id not in passed:
            wanted.add(step.id)
    return wanted


def _left_out(step: Step, job: Job, level: str | None) -> str:
    """Return why a test of that level (None: of selected steps) does not run a step, "" when it does."""
    if step.docker_only and job.runtime.kind != "docker":
        return NO_CONTAINERS
    if level and step.optional:
        return f"optional: ./tao-hf test {job.model} --steps {step.id}"
    if level == "quick" and not step.quick:
        return NOT_QUICK
    return NO_DATA if step.needs_data and not job.data else ""


def skip_reason(step: Step, steps: Sequence[Step], job: Job, result: dict[str, Any]) -> str:
    """Return why a step that was to run cannot, "" when it can."""
    unmet = _unmet(step, steps, job, result)
    reasons = {report.step_of(result, need.id)["reason"] for need in unmet}
    if step.needs_gpu and (_lacks_gpu(job) if not unmet else reasons == {NO_GPU} and not job.runtime.gpu):
        return NO_GPU
    if not unmet:
        return ""
    ran = [need for need in unmet if need.id in result["last_run"]]
    parts = [f"{need.title} ({need.id}), which {_how(result, need)}" for need in unmet]
    if ran == unmet:
        return report.NEEDS + "; ".join(parts)
    wanted = _with_needs(step, steps, job, result)
    ids = ",".join(other.id for other in steps if other.id in wanted)
    return f"{report.NEEDS}{'; '.join(parts)}: run ./tao-hf test {job.model} --steps {ids}"


def _how(result: dict[str, Any], need: Step) -> str:
    if need.id not in result["last_run"]:
        return "has not passed"
    return "failed" if report.step_of(result, need.id)["status"] == "failed" else "was skipped"


def _unmet(step: Step, steps: Sequence[Step], job: Job, result: dict[str, Any]) -> list[Step]:
    """Return the steps that a step needs and that have not passed, but for those that mean nothing in this runtime."""
    return [
        need
        for need in steps
        if need.id in step.needs
        and not (need.docker_only and job.runtime.kind != "docker")
        and report.step_of(result, need.id)["status"] != "passed"
    ]


def _with_needs(step: Step, steps: Sequence[Step], job: Job, result: dict[str, Any]) -> set[str]:
    """Return the ids of a step and of all that must be run before it."""
    found = {step.id}
    for need in _unmet(step, steps, job, result):
        found |= _with_needs(need, steps, job, result)
    return found


def _lacks_gpu(job: Job) -> bool:
    if job.runtime.gpu:
        return False
    return "tensorrt" not in find_stand_ins(job)
