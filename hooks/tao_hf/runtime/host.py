"""What the host machine has; nothing here installs or changes anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIN_PYTHON, MIN_GIT = (3, 10), (2, 28)
MIN_DRIVER, MIN_CUDA, MIN_TOOLKIT = (580,), (13, 0), (1, 19, 0)
CUDA_HOME = Path("/usr/local/cuda")
_SECONDS = 30
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was looked for, such as "NVIDIA driver".
        ok: whether it will do.
        found: its version, or why there is none; may be empty.
        need: the smallest version that does, such as "580".
        how: one sentence saying how to get it.
    """

    name: str
    ok: bool
    found: str
    need: str
    how: str


@cache
def gpus() -> tuple[str, ...]:
    """Return the names of the NVIDIA GPUs that the driver reports; empty without GPU or driver."""
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or ""
    return tuple(line.strip() for line in names.splitlines() if line.strip())


def python() -> Check:
    """Check the Python that runs this."""
    found = ".".join(map(str, sys.version_info[:3]))
    return _check("Python", found, MIN_PYTHON, "Get a newer one (https://www.python.org/downloads) and run with it.")


def git() -> Check:
    """Check git."""
    found = _version(_output("git", "--version"))
    return _check("git", found, MIN_GIT, "Install it with your distribution's package manager (package git).")


def driver() -> Check:
    """Check the branch of the NVIDIA driver."""
    found = _version(_output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"))
    how = "Install it from https://www.nvidia.com/drivers or your distribution (package nvidia-open), then reboot."
    return _check("NVIDIA driver", found, MIN_DRIVER, how)


def cuda() -> Check:
    """Check the CUDA toolkit; where there is none, the CUDA version that the driver brings."""
    how = "Install the CUDA toolkit or a newer driver (https://developer.nvidia.com/cuda-downloads)."
    return _check("CUDA", _cuda_version(), MIN_CUDA, how)


def container_toolkit() -> Check:
    """Check the NVIDIA Container Toolkit, which gives containers the GPU."""
    package = "nvidia-container-toolkit"
    found = (
        _version(_output("nvidia-ctk", "--version"))
        or _version(_output("dpkg-query", "--show", "--showformat=${Version}", package))
        or _version(_output("rpm", "--query", "--queryformat=%{VERSION}", package))
    )
    how = (
        "Install it (https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html), "
        "then sudo nvidia-ctk runtime configure --runtime=docker and restart Docker."
    )
    return _check("NVIDIA Container Toolkit", found, MIN_TOOLKIT, how)


def _check(name: str, found: str, need: Sequence[int], how: str) -> Check:
    return Check(name, bool(found) and _at_least(found, need), found, ".".join(map(str, need)), how)


def _at_least(version: str, need: Sequence[int]) -> bool:
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (len(need) - len(numbers)) >= list(need)


def _cuda_version() -> str:
    for nvcc in (str(CUDA_HOME / "bin" / "nvcc"), "nvcc"):
        found = re.search(r"release (\d+(?:\.\d+)*)", _output(nvcc, "--version") or "")
        if found:
            return found[1]
    for file in ("version.json", "version.txt"):
        try:
            text = (CUDA_HOME / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found = re.search(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]+\d)"|CUDA Version (\d+(?:\.\d+)*)', text)
        if found:
            return found[1] or found[2]
    found = re.search(r"CUDA Version\s*:\s*(\d+(?:\.\d+)*)", _output("nvidia-smi") or "")
    return found[1] if found else ""


def _version(text: str | None) -> str:
    """Return the first version number in `text`, an empty string when there is none."""
    found = _NUMBER.search(text or "")
    return found[0] if found else ""


def _output(*argv: str) -> str | None:
    """Return what a program prints; None when it is not there, fails or takes too long."""
    if not shutil.which(argv[0]):
        return None
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
