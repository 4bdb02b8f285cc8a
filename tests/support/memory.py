"""The tests' temporary files in memory, where there is enough of it.

Working directories are thousands of small files, which some tests copy for every case; a disk takes many times as long
for that. Nothing changes for a person who says where temporary files go (TMPDIR, --basetemp).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_PLACE = Path("/dev/shm")
_PREFIX = "tao-hf-tests-"
_FREE = 6 * 2**30  # bytes; a run of all tests needs about 2 GiB at a time
_AVAILABLE = 12 * 2**30  # bytes of memory, which PyTorch's processes need as well
_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Let temporary files be made in memory."""
    if not ({"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & os.environ.keys() or config.option.basetemp) and _fits():
        for old in _PLACE.glob(f"{_PREFIX}*-*"):
            if not Path("/proc", old.name.split("-")[-2]).exists():  # of a run that has ended, or was killed
                shutil.rmtree(old, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_PLACE)
        os.environ.update(TMPDIR=folder, PYTEST_DEBUG_TEMPROOT=folder)
        tempfile.tempdir = None
        config.stash[_FOLDER] = folder


def pytest_report_header(config: pytest.Config) -> str:
    """Say where temporary files are."""
    folder = config.stash.get(_FOLDER, None)
    return f"temporary files: {folder} (in memory)" if folder else f"temporary files: {tempfile.gettempdir()}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave behind what tests that failed have made, until the next run, and nothing else."""
    folder = session.config.stash.get(_FOLDER, None)
    if folder and not session.testsfailed:
        session.config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _fits() -> bool:
    """Tell whether programs may run there, and memory is plenty."""
    try:
        place = os.statvfs(_PLACE)
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    kibibytes = next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), 0)
    room = place.f_bavail * place.f_frsize
    return room >= _FREE and kibibytes * 1024 >= _AVAILABLE and not place.f_flag & os.ST_NOEXEC
