"""Run a model's test steps in order, and keep the report up to date after every one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tao_hf.base.errors import UserError
from tao_hf.runtime.interface import Runtime
from tao_hf.runtime.kinds import get_runtime
from tao_hf.selftest import report, schedule
from tao_hf.selftest.execution import run_step
from tao_hf.selftest.steps import STEPS
from tao_hf.selftest.steps.consistency import CONSISTENCY
from tao_hf.selftest.steps.inputs import check_data, check_settings
from tao_hf.selftest.steps.job import Job, Step
from tao_hf.workdir import records

INTERRUPTED = "interrupted by the person"


def run_tests(
    workdir: Path,
    model: str,
    level: str,
    data: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    selected: Collection[str] | None = None,
    runtime: Runtime | None = None,
    steps: Sequence[Step] = STEPS,
) -> dict[str, Any]:
    """Test a model and return the report, which also lies in `.tao-hf/<model>/`.

    Args:
        workdir: the working directory.
        model: name of a model in it.
        level: "quick" (consistency, unit tests, lint) or "full" (the whole chain as well).
        data: a dataset folder for the chain; default: a small synthetic one.
        overrides: key=value settings for the model's specs.
        selected: ids of the steps to run, whatever the level; what the report says of the others stays. Default: those
            of the level, with a new report.
        runtime: where to run; default: the kind that workdir.json names. One that is given is not closed here.
        steps: the steps, in order.

    Raises:
        UserError: no such model, a setting or dataset that cannot be used, or no runtime.
        KeyboardInterrupt: after the report was written.
    """
    workdir = Path(workdir).resolve()
    info = records.load_model(workdir, model)
    check_settings(overrides, info["data_settings"])
    data = Path(data).resolve() if data else None
    if data:
        check_data(data, info["data_files"], bool(info["num_labels"]))
    own = runtime is None
    runtime = runtime or get_runtime(records.runtime_kind(workdir), workdir)
    job = Job(workdir, info, runtime, data, tuple(overrides))
    try:
        runtime.prepare()
        result = schedule.begin(steps, job, level, selected)
        if job.data:
            runtime.path(job.data)  # so that containers see it from their start
        _run_all([step for step in steps if step.id in result["last_run"]], steps, job, result)
    finally:
        if own:
            runtime.close()
    return result


def resume(workdir: Path, model: str, **options: Any) -> dict[str, Any] | None:
    """Go on with the last test: run what failed and what was not reached, with the same dataset and settings.

    Returns:
        The report; None when there is nothing left to run.

    Raises:
        UserError: there was no test, or see `run_tests`.
    """
    workdir = Path(workdir).resolve()
    records.load_model(workdir, model)
    last = report.load(workdir / ".tao-hf" / model)
    if last is None:
        raise UserError(f"{model} was not tested yet; run ./tao-hf test {model}")
    if records.runtime_kind(workdir) not in ("auto", last["runtime"]):
        raise UserError(f"the last test of {model} ran with runtime={last['runtime']}; run ./tao-hf test {model} anew")
    left = report.unfinished(last)
    if not left:
        return None
    data = Path(last["data"]) if last["data"] else None
    return run_tests(workdir, model, last["level"], data, last["settings"], selected=left, **options)


def check_model(workdir: Path, model: str, *, runtime: Runtime | None = None) -> list[dict[str, Any]]:
    """Run the consistency check alone and return its findings: item, title, ok, detail.

    Raises:
        UserError: no such model, no runtime, or the check could not be run.
    """
    workdir = Path(workdir).resolve()
    info = records.load_model(workdir, model)
    own = runtime is None
    runtime = runtime or get_runtime(records.runtime_kind(workdir), workdir)
    job = Job(workdir, info, runtime)
    try:
        runtime.prepare()
        outcome = run_step(CONSISTENCY, job, quiet=True)
    finally:
        if own:
            runtime.close()
    try:
        return json.loads((job.logs / f"{CONSISTENCY.id}.json").read_text(encoding="utf-8"))["findings"]
    except (OSError, ValueError, KeyError):
        raise UserError(f"the consistency check could not be run: {outcome.reason}") from None


def _run_all(chosen: Sequence[Step], steps: Sequence[Step], job: Job, result: dict[str, Any]) -> None:
    for step in chosen:
        try:
            reason = schedule.skip_reason(step, steps, job, result)
        except UserError as error:
            report.set_step(result, step.id, "failed", reason=str(error))
        else:
            if reason:
                report.set_step(result, step.id, "skipped", reason=reason)
                print(f"  – {step.title}: skipped, {reason}", file=sys.stderr)
            else:
                _run_one(step, job, result)
        report.save(result, job.home)


def _run_one(step: Step, job: Job, result: dict[str, Any]) -> None:
    log = f".tao-hf/{job.model}/logs/{step.id}.log"
    started = time.monotonic()
    try:
        outcome = run_step(step, job)
    except KeyboardInterrupt:
        seconds = time.monotonic() - started
        report.set_step(result, step.id, "failed", seconds=seconds, reason=INTERRUPTED, log=log)
        report.save(result, job.home)
        raise
    report.set_step(result, step.id, **asdict(outcome), log=log)
    report.set_figures(result, job.figures)
    if job.stand_ins is not None:
        result["stand_ins"] = job.stand_ins
