"""Replaces files as a whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tao_hf.base.errors import UserError

_NEW = ".new"
SCRATCH = ".tao-hf-"  # what the names of folders begin with that are filled beside their place and then renamed


def write(path: Path, content: bytes | str, advice: str = "") -> None:
    """Give `path` the `content`, making its folder; text is written as UTF-8. See `write_all`.

    Args:
        path: The file.
        content: What it is to hold.
        advice: What the person can do when that fails, after "; ".

    Raises:
        UserError: The disk is full or the place is not writable; `path` is then as it was before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_all({path: content.encode("utf-8") if isinstance(content, str) else content})
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}){advice and '; ' + advice}.") from error


def point(link: Path, target: Path) -> None:
    """Let a symbolic link point to `target`, at no moment to nothing."""
    if link.is_symlink() and link.readlink() == target:
        return
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    new = link.with_name(f"{link.name}{_NEW}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def sweep(paths: Iterable[Path]) -> None:
    """Remove what a process that was killed while it wrote one of `paths` has left beside it."""
    for path in paths:
        target = Path(os.path.realpath(path))
        for left in target.parent.glob(f".{glob.escape(target.name)}.*{_NEW}"):
            left.unlink(missing_ok=True)


def write_all(contents: Mapping[Path, bytes | None]) -> None:
    """Give every path its content (`None`: delete it), all of them or none.

    Everything is written beside its target and flushed to the disk first; only then are the targets renamed
    over. Modes are kept, and a symbolic link stays a link: the file it points to is replaced.

    Raises:
        OSError: Something could not be written; every path is as it was and nothing is left beside it.
    """
    targets = {path: Path(os.path.realpath(path)) for path in contents}
    before = {path: target.read_bytes() if target.exists() else None for path, target in targets.items()}
    staged: dict[Path, str] = {}
    done: list[Path] = []
    try:
        for path, content in contents.items():
            if content is not None:
                staged[path] = _stage(targets[path], content)
        for path, content in contents.items():
            if content is None:
                targets[path].unlink(missing_ok=True)
            else:
                os.replace(staged[path], targets[path])
                del staged[path]
            done.append(path)
    except BaseException:
        for path in done:
            original = before[path]
            if original is None:
                targets[path].unlink(missing_ok=True)
            else:
                os.replace(_stage(targets[path], original), targets[path])
        raise
    finally:
        for name in staged.values():
            os.unlink(name)


def _stage(target: Path, content: bytes) -> str:
    """Write `content` to a new file beside `target`, with its mode (or a new file's); return its name."""
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        mode = 0o666 & ~umask
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_NEW, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
    except BaseException:
        os.unlink(name)
        raise
    return name
