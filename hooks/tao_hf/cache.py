"""Where things shared by all working directories are kept, and how a file gets there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from tao_hf import atomic
from tao_hf.errors import UserError


def cache_root() -> Path:
    """Return the cache directory: $TAO_HF_CACHE, else $XDG_CACHE_HOME/tao-hf-template, else under ~/.cache."""
    own = os.environ.get("TAO_HF_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "tao-hf-template"


def cache_dir(name: str) -> Path:
    """Return (and make) one room of the cache.

    Raises:
        UserError: when the directory cannot be made.
    """
    path = cache_root() / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache directory {path} cannot be made ({error.strerror}); set TAO_HF_CACHE to a writable place."
        ) from error
    return path


def write_atomic(path: Path, text: str) -> None:
    """Write `text` to `path`, making its directory; a reader sees the old file or the whole new one, never a part.

    Raises:
        UserError: when the disk is full or the place is not writable; `path` is then as it was before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text.encode("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
