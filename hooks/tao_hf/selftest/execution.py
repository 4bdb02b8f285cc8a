"""Run one test step: its commands with progress and a log of their own, its gate, and advice when it fails."""

from __future__ import annotations

import contextlib
import csv
import re
import shlex
import sys
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from tao_hf.base import progress
from tao_hf.base.errors import UserError
from tao_hf.selftest import playbook
from tao_hf.selftest.schedule import find_stand_ins
from tao_hf.selftest.steps.job import HOST, Command, HostTask, Job, MissingArtifactError, Step, StepError

SHOWN_LINES, SHOWN_WIDTH = 15, 200
_ERROR_LINE = re.compile(r"^(E\s+)?([\w.]*(Error|Exception|Interrupt)\b|ERROR\b|error:)")


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        status: "passed" or "failed".
        reason: the gate's note, or why it failed.
        seconds: wall time.
        advice: symptom, cause and fix, when the playbook knows the failure.
    """

    status: str
    reason: str
    seconds: float
    advice: dict[str, str] | None = None


class _Log:
    """The log of one step: the commands and every line they print; also keeps the last lines."""

    def __init__(self, path: Path, shown: progress.Activity) -> None:
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

    def check(self) -> None:
        """Raise UserError when the log could not be written whole."""
        if self._trouble:
            raise UserError(f"the log {self._file.name} cannot be written: {self._trouble.strerror}")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()

    def cause(self) -> str:
        """Return the line that says best why a command failed: the last one naming an error, else the last one."""
        lines = [line.strip() for line in self.tail if line.strip()]
        return next((line for line in reversed(lines) if _ERROR_LINE.match(line)), lines[-1] if lines else "no output")[
            :300
        ]


def _execute(step: Step, job: Job, log: _Log) -> str:
    """Run the step's commands and its gate; return the gate's note or raise StepError."""
    if step.context != HOST:
        find_stand_ins(job)
    try:
        commands = step.commands(job)
    except OSError as error:
        raise StepError(f"{error.filename}: {error.strerror}") from error
    failures = [_execute_command(step, command, job, log) for command in commands]
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


def _execute_command(step: Step, command: Command | HostTask, job: Job, log: _Log) -> str:
    """Run one command; return "" or why it failed."""
    if isinstance(command, HostTask):
        log.line(f"# {command.title}")
        command.run(log.line)
        return ""
    log.line(f"$ {shlex.join(command.argv)}")
    done = job.runtime.run(
        command.argv,
        context=command.context or step.context,
        workdir=job.workdir,
        cwd=command.cwd or (job.results if job.results.is_dir() else job.workdir),
        on_line=log.line,
    )
    return f"exit code {done.returncode}: {log.cause()}" if done.returncode else ""


def run_step(step: Step, job: Job, *, quiet: bool = False) -> Outcome:
    """Run one step with progress and log; on failure print the log's last lines and what to do unless `quiet`."""
    shown = progress.Activity(step.title)
    path = job.logs / f"{step.id}.log"
    for old in job.logs.glob(f"{step.id}.*"):
        if old.stem == step.id:  # the machine-readable results of an earlier run must not pass for this one's
            old.unlink()
    shown.begin()
    log = _Log(path, shown)
    try:
        note = _execute(step, job, log)
        log.check()
    except (StepError, UserError) as error:
        log.line(f"failed: {error}")
        shown.end("✗", str(error))
        advice = playbook.diagnose(step.id, path.read_text(encoding="utf-8", errors="replace"))
        if not quiet:
            _show_failure(log, path, advice)
        return Outcome("failed", str(error), shown.seconds, asdict(advice) if advice else None)
    except BaseException:
        shown.end("✗", "interrupted")
        raise
    finally:
        log.close()
    shown.end("✓", note)
    return Outcome("passed", note, shown.seconds)


def _show_failure(log: _Log, path: Path, advice: playbook.Advice | None) -> None:
    for line in [*log.tail][-SHOWN_LINES:]:
        print(f"      {line[:SHOWN_WIDTH]}", file=sys.stderr)
    print(f"      log: {path}", file=sys.stderr)
    if advice:
        print(f"      likely cause: {advice.cause}\n      fix: {advice.fix}", file=sys.stderr)
