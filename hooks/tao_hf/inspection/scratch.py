"""The folder that inspection and proof work in; in a container it is /workspace, with what pip installed there."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tao_hf.base.cache import cache_dir


def folder(keep: bool) -> Path:
    """Return the scratch folder: the one that is kept, or one that lasts as long as this process."""
    if not keep:
        return _for_this_process()
    kept = cache_dir("scratch") / "kept"
    kept.mkdir(exist_ok=True)
    return kept


@cache
def _for_this_process() -> Path:
    made = Path(tempfile.mkdtemp(dir=cache_dir("scratch"), prefix="probe-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
