"""What the host machine has."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache


@cache
def gpus() -> tuple[str, ...]:
    """Return the names of the NVIDIA GPUs that the driver reports; empty without GPU or driver."""
    if not shutil.which("nvidia-smi"):
        return ()
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()
