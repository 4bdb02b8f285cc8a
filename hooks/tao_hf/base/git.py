"""Runs git: never interactive, never hanging, in the repository meant, and never writing to a remote."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Container, Sequence
from pathlib import Path

from tao_hf.base.errors import UserError

# Commands this package may run. There is none among them that writes to a remote.
_ALLOWED = frozenset(
    (
        "add",
        "branch",
        "cat-file",
        "check-ref-format",
        "clone",
        "commit",
        "fast-import",
        "fetch",
        "for-each-ref",
        "hash-object",
        "init",
        "ls-files",
        "ls-remote",
        "ls-tree",
        "merge",
        "merge-file",
        "rev-parse",
        "status",
        "switch",
        "symbolic-ref",
        "tag",
        "update-index",
        "update-ref",
    )
)

# Variables of a surrounding git process (a hook, say) that would point us at the wrong repository.
_FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES",
)  # fmt: skip


class GitError(Exception):
    """A git command that failed: `reason` is the line that says why, `timed_out` that it took too long."""

    def __init__(self, args: tuple[str, ...], reason: str, timed_out: bool = False) -> None:
        """Keep what ran and why it failed."""
        super().__init__(f"git {args[0]}: {reason}")
        self.reason = reason
        self.timed_out = timed_out


def environment() -> dict[str, str]:
    """Return the environment git runs in: no prompts of any kind, English messages, no foreign repository."""
    env = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    env.update(GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="", GCM_INTERACTIVE="never", LC_ALL="C", GIT_OPTIONAL_LOCKS="0")
    env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10")
    return env


def run(
    *args: str,
    cwd: Path | None = None,
    timeout: float | None = 60,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
    settings: Sequence[str] = (),
    fine: Container[int] = (0,),
) -> bytes:
    """Run ``git <args>`` and return its standard output.

    Args:
        args: The subcommand and its arguments.
        cwd: Directory to run in; `None` for commands that need no repository.
        timeout: Seconds after which git and every helper it started are killed; `None` for no limit.
        stdin: Bytes for its standard input.
        env: Extra variables.
        settings: Configuration for this one command, as ``key=value``.
        fine: Exit statuses that are no failure.

    Raises:
        GitError: git failed or ran past the limit.
        UserError: git is not installed.
    """
    if args[0] not in _ALLOWED:
        raise ValueError(f"git {args[0]} is not among the commands this package runs.")
    # A file system monitor in a repository's own configuration is a program; our look-ups need none.
    extra = [part for setting in ("core.fsmonitor=false", *settings) for part in ("-c", setting)]
    command = ["git", *extra, *args]
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environment(), **(env or {})},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise UserError("git is not installed (or not on PATH); install git and run this again.") from error
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        raise GitError(args, f"no answer within {timeout:g} s", timed_out=True) from error
    except BaseException:
        _kill(process)
        raise
    if process.returncode not in fine:
        raise GitError(args, _reason(err.decode("utf-8", "replace")) or f"exit status {process.returncode}")
    return out


def text(*args: str, cwd: Path | None = None, timeout: float | None = 60) -> str:
    """Run ``git <args>`` like `run` and return its output as text without surrounding white space."""
    return run(*args, cwd=cwd, timeout=timeout).decode("utf-8", "replace").strip()


def succeeds(*args: str, cwd: Path | None = None) -> bool:
    """Return whether ``git <args>`` exits with status 0."""
    try:
        run(*args, cwd=cwd)
    except GitError:
        return False
    return True


def is_clone(path: Path) -> bool:
    """Return whether `path` itself (not a directory above it) is the top of a git working tree.

    Raises:
        UserError: It has a ``.git`` that git refuses to work with.
    """
    if not (path / ".git").exists():
        return False
    try:
        text("rev-parse", "--git-dir", cwd=path)
    except GitError as error:
        raise UserError(f"{path} has a .git, but git cannot use it ({error.reason}); repair or move it.") from error
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill git together with the transport helpers that would keep its pipes open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _reason(stderr: str) -> str:
    """Return the line of git's error output that says most: the first fatal or error line, else the last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        for prefix in ("fatal: ", "error: ", "ERROR: "):
            if line.startswith(prefix):
                return line[len(prefix) :]
    return lines[-1] if lines else ""
