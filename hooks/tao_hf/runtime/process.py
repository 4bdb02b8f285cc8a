"""Run a child process group: merged output streamed line by line, secrets blanked, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.runtime.interface import Completed

SECRETS = ("HF_TOKEN", "NGC_KEY", "NGC_API_KEY", "WANDB_API_KEY")
TIMED_OUT = 124
_TAIL_LINES = 40
_GRACE_SECONDS = 5.0


def stream(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run `argv` with exactly `env`; see `Runtime.run` for the other arguments.

    A carriage return ends a line too, so progress bars arrive as they are drawn. Values of the variables in `SECRETS`
    are replaced by asterisks. When the caller is interrupted, the whole process group is killed first.

    Raises:
        UserError: when the program does not exist or the log cannot be written.
    """
    started = time.monotonic()
    secrets = [env[name] for name in SECRETS if len(env.get(name, "")) >= 4]
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    trouble: list[OSError] = []

    def pump(source, sink) -> None:
        try:
            for raw in source:
                line = raw
                for secret in secrets:
                    line = line.replace(secret, "****")
                tail.append(line.rstrip("\n"))
                if sink and not trouble:
                    try:
                        sink.write(line)
                        sink.flush()
                    except OSError as error:
                        trouble.append(error)
                if on_line:
                    on_line(line.rstrip("\n"))
        except ValueError:
            pass  # the pipe was closed under us after the group was killed

    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_open_log(log)) if log else None
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"{argv[0]} cannot be run: {error.strerror}.") from error
        reader = threading.Thread(target=pump, args=(child.stdout, sink), daemon=True)
        reader.start()
        timed_out = False
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        except BaseException:
            _kill(child)
            raise
        if timed_out:
            _kill(child)
        reader.join(_GRACE_SECONDS)
        if reader.is_alive():  # a grandchild that left the group's leader behind still holds the pipe
            _kill(child)
            reader.join(_GRACE_SECONDS)
        if timed_out:
            note = f"stopped: the time limit of {timeout:.0f} s was reached"
            tail.append(note)
            if sink and not trouble:
                with contextlib.suppress(OSError):
                    sink.write(note + "\n")
    if trouble:
        raise UserError(f"{log} cannot be written: {trouble[0].strerror}.")
    code = TIMED_OUT if timed_out else child.returncode
    return Completed(code, time.monotonic() - started, "\n".join(tail))


def _open_log(log: Path):
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{log} cannot be written: {error.strerror}.") from error


def _kill(child: subprocess.Popen) -> None:
    """End the child's whole group: politely, then not."""
    for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
            if number == signal.SIGTERM and not _group_alive(child.pid):
                return


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
