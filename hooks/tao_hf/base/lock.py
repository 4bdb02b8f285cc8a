"""Keeps two commands from working on the same thing at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity

_HOLDER = "TAO_HF_LOCK_HOLDER"  # the process on whose behalf a command works: it holds the model's lock


def hold_model(workdir: Path, model: str, to_remove: bool = False) -> None:
    """Take a model for this process until it ends; what works on its behalf may go on.

    Raises:
        UserError: Another command has it, or it is half removed and this command does not go on with that.
    """
    if not to_remove and removal_marker(workdir, model).exists():
        raise UserError(
            f"{model} in {workdir} is half removed, because that was interrupted; ./tao-hf remove {model} goes on."
        )
    path = _folder(workdir) / model
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 20).decode("ascii", "replace").strip()
        os.close(handle)
        if holder in {str(os.getpid()), str(os.getppid()), os.environ.get(_HOLDER)}:
            return
        raise UserError(
            f"Another command (process {holder or 'unknown'}) is working on {model} in {workdir}; wait for it."
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())  # the handle stays open, and with it the lock, until the process ends
    os.environ[_HOLDER] = str(os.getpid())


def forget(workdir: Path, model: str) -> None:
    """Remove what is left of the lock of a model that is no more."""
    (_folder(workdir) / model).unlink(missing_ok=True)


def removal_marker(workdir: Path, model: str) -> Path:
    """Return the file that a model has from the moment on that its removal touches its files."""
    return workdir / ".tao-hf" / model / "removing"


@contextlib.contextmanager
def repositories(workdir: Path) -> Iterator[None]:
    """Be the only one who changes files in the repositories of `workdir`; wait for another who does."""
    handle = os.open(_folder(workdir) / "repositories.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        wait_for(handle, "Waiting for another command that changes these repositories")
        yield
    finally:
        os.close(handle)


def wait_for(handle: int | IO[str], title: str) -> None:
    """Lock an open file until it is closed; while another process has it, wait under `title`."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with activity(title):
            fcntl.flock(handle, fcntl.LOCK_EX)


def _folder(workdir: Path) -> Path:
    path = workdir / ".tao-hf" / "locks"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made ({error.strerror}); make {workdir} writable.") from error
    return path
