"""Run a model's test steps in order, keep a log of each, and keep the report up to date after every one."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tao_hf import progress, report
from tao_hf.errors import UserError
from tao_hf.runtime import Runtime, get_runtime
from tao_hf.steps import STEPS
from tao_hf.steps.inputs import check_data, check_settings
from tao_hf.steps.job import Command, Job, MissingArtifactError, Step, StepError

SHOWN_LINES, SHOWN_WIDTH = 15, 200
NOT_QUICK = "part of the full test only: ./tao-hf test MODEL --full"
_HOW = {"failed": "failed", "skipped": "was skipped", "": "was not run"}
_ERROR_LINE = re.compile(r"^(E\s+)?([\w.]*(Error|Exception|Interrupt)\b|ERROR\b|error:)")


def load_model(workdir: Path, model: str) -> dict[str, Any]:
    """Return the model.json of `model`; UserError naming the models there are when it is not one of them."""
    known = models(workdir)
    if model not in known:
        have = f"the models here are {', '.join(known)}" if known else "there is no model here yet"
        raise UserError(f"there is no model {model!r} in {workdir}; {have}")
    path = workdir / ".tao-hf" / model / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run copier update to write it again") from error
    if not isinstance(info, dict) or info.get("model_name") != model:
        raise UserError(f"{path} does not describe {model}; run copier update to write it again")
    return info


def models(workdir: Path) -> list[str]:
    """Return the names of the models in a working directory."""
    return sorted(path.parent.name for path in (workdir / ".tao-hf").glob("*/model.json"))


def repositories(workdir: Path) -> dict[str, dict[str, Any]]:
    """Return what workdir.json says of each TAO repository: source, version, path, commit."""
    try:
        return json.loads((workdir / ".tao-hf" / "workdir.json").read_text(encoding="utf-8"))["repos"]
    except (OSError, ValueError, KeyError):
        return {}


def stand_ins(workdir: Path, runtime: Runtime) -> list[str]:
    """Return every stand-in in use: the modules the runtime lacks, and tao-pytorch where no clone could be had."""
    embedded = [name for name, repo in repositories(workdir).items() if repo.get("source") == "embedded"]
    return sorted({*runtime.stand_ins(workdir), *(name for name in embedded if name == "tao-pytorch")})


class _Log:
    """The log of one step: the commands and every line they print; also keeps the last lines."""

    def __init__(self, path: Path, shown: progress.Step) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._shown = shown
        self._trouble: OSError | None = None
        self.tail: deque[str] = deque(maxlen=200)

    def line(self, text: str) -> None:
        """Write one line (called from the runtime's reader thread, which no exception may reach)."""
        text = text.rstrip("\r\n")
        self.tail.append(text)
        self._shown.detail(text)
        try:
            self._file.write(text + "\n")
            self._file.flush()
        except OSError as error:
            self._trouble = self._trouble or error

    def close(self) -> None:
        """Close the file; UserError when the log could not be written whole."""
        self._file.close()
        if self._trouble:
            raise UserError(f"the log {self._file.name} cannot be written: {self._trouble.strerror}")

    def cause(self) -> str:
        """Return the line that says best why a command failed: the last one naming an error, else the last one."""
        lines = [line.strip() for line in self.tail if line.strip()]
        return next((line for line in reversed(lines) if _ERROR_LINE.match(line)), lines[-1] if lines else "no output")[
            :300
        ]


def _execute(step: Step, job: Job, log: _Log) -> str:
    """Run the step's commands and its gate; return the gate's note or raise StepError."""
    failures = [_execute_command(step, command, job, log) for command in step.commands(job)]
    failure = next(filter(None, failures), "")
    if failure and not step.explains:
        raise StepError(failure)
    try:
        note = step.gate(job)
    except (OSError, ValueError, KeyError, SyntaxError, csv.Error, MissingArtifactError) as error:
        raise StepError(failure or f"{error}") from error
    if failure:
        raise StepError(failure)
    return note


def _execute_command(step: Step, command: Command, job: Job, log: _Log) -> str:
    """Run one command; return "" or why it failed."""
    log.line(f"$ {shlex.join(command.argv)}")
    done = job.runtime.run(
        command.argv,
        context=command.context or step.context,
        workdir=job.workdir,
        cwd=command.cwd or (job.results if job.results.is_dir() else job.workdir),
        on_line=log.line,
    )
    return f"exit code {done.returncode}: {log.cause()}" if done.returncode else ""


def run_step(step: Step, job: Job, *, quiet: bool = False) -> tuple[str, str, float]:
    """Run one step with progress and log; on failure print the log's last lines unless `quiet`.

    Returns:
        status ("passed" or "failed"), reason (the gate's note, or why it failed), seconds.
    """
    shown = progress.Step(step.title)
    path = job.logs / f"{step.id}.log"
    for old in job.logs.glob(f"{step.id}.*"):
        if old.stem == step.id:  # the machine-readable results of an earlier run must not pass for this one's
            old.unlink()
    shown.begin()
    log = _Log(path, shown)
    try:
        note = _execute(step, job, log)
        log.close()
    except (StepError, UserError) as error:
        log.line(f"failed: {error}")
        shown.end("✗", str(error))
        if not quiet:
            for line in [*log.tail][-SHOWN_LINES:]:
                print(f"      {line[:SHOWN_WIDTH]}", file=sys.stderr)
            print(f"      log: {path}", file=sys.stderr)
        return "failed", str(error), shown.seconds
    except BaseException:
        shown.end("✗", "interrupted")
        raise
    shown.end("✓", note)
    return "passed", note, shown.seconds


def _skip_reason(step: Step, level: str, states: dict[str, str]) -> str:
    if level == "quick" and not step.quick:
        return NOT_QUICK
    titles = {other.id: other.title for other in STEPS}
    missing = [need for need in step.needs if states.get(need) != "passed"]
    return "; ".join(f"needs {titles.get(n, n)} ({n}), which {_HOW[states.get(n, '')]}" for n in missing)


def run_tests(
    workdir: Path,
    model: str,
    level: str,
    data: Path | None = None,
    overrides: Sequence[str] = (),
    precision: str = "FP32",
    *,
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
        precision: "FP32" or "FP16", of the TensorRT engine.
        runtime: where to run; default: the kind that workdir.json names. One that is given is not closed here.
        steps: the steps, in order.

    Raises:
        UserError: no such model, a setting or dataset that cannot be used, or no runtime.
        KeyboardInterrupt: after the report was written.
    """
    workdir = Path(workdir).resolve()
    info = load_model(workdir, model)
    check_settings(overrides)
    data = Path(data).resolve() if data else None
    if data:
        check_data(data)
    own = runtime is None
    runtime = runtime or get_runtime(runtime_kind(workdir))
    job = Job(workdir, info, runtime, data, tuple(overrides), precision)
    try:
        runtime.prepare()
        result = report.new_report(
            info, runtime.kind, stand_ins(workdir, runtime), [(step.id, step.title) for step in steps], precision
        )
        report.save(result, job.home)
        _run_all(steps, job, level, result)
    finally:
        if own:
            runtime.close()
    return result


def check_model(workdir: Path, model: str, *, runtime: Runtime | None = None) -> list[dict[str, Any]]:
    """Run the consistency check alone and return its findings: item, title, ok, detail.

    Raises:
        UserError: no such model, no runtime, or the check could not be run.
    """
    workdir = Path(workdir).resolve()
    info = load_model(workdir, model)
    own = runtime is None
    runtime = runtime or get_runtime(runtime_kind(workdir))
    job = Job(workdir, info, runtime)
    try:
        runtime.prepare()
        _, reason, _ = run_step(STEPS[0], job, quiet=True)
    finally:
        if own:
            runtime.close()
    try:
        return json.loads((job.logs / f"{STEPS[0].id}.json").read_text(encoding="utf-8"))["findings"]
    except (OSError, ValueError, KeyError):
        raise UserError(f"the consistency check could not be run: {reason}") from None


def runtime_kind(workdir: Path) -> str:
    """Return the kind of runtime that the working directory was made with, "auto" when it does not say."""
    try:
        return json.loads((workdir / ".tao-hf" / "workdir.json").read_text(encoding="utf-8"))["runtime"]
    except (OSError, ValueError, KeyError):
        return "auto"


def _run_all(steps: Sequence[Step], job: Job, level: str, result: dict[str, Any]) -> None:
    states: dict[str, str] = {}
    for step in steps:
        reason = _skip_reason(step, level, states)
        log = f".tao-hf/{job.model}/logs/{step.id}.log"
        if reason:
            states[step.id] = "skipped"
            report.set_step(result, step.id, "skipped", reason=reason)
            if reason != NOT_QUICK:
                print(f"  – {step.title}: skipped, {reason}", file=sys.stderr)
            report.save(result, job.home)
            continue
        started = time.monotonic()
        try:
            states[step.id], note, seconds = run_step(step, job)
        except KeyboardInterrupt:
            seconds = time.monotonic() - started
            report.set_step(result, step.id, "failed", seconds=seconds, reason="interrupted by the person", log=log)
            report.save(result, job.home)
            raise
        report.set_step(result, step.id, states[step.id], seconds=seconds, reason=note, log=log)
        result["metrics"] = dict(job.metrics)
        if job.cross_check:
            result["cross_check"] = dict(job.cross_check)
        report.save(result, job.home)
