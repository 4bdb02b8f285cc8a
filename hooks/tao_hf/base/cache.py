"""Where things shared by all working directories are kept."""

from __future__ import annotations

import os
from pathlib import Path

from tao_hf.base.errors import UserError


def cache_root() -> Path:
    """Return the cache directory: $TAO_HF_CACHE, else $XDG_CACHE_HOME/tao-hf-template, else under ~/.cache."""
    own = os.environ.get("TAO_HF_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "tao-hf-template"


def cache_dir(name: str) -> Path:
    """Return (and make) a folder of the cache.

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
