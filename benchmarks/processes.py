"""Python processes in the local runtime that see the tests' tiny models and the inspection."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(python: str, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run the runtime's interpreter in the repository, without the Hub; return its status and what it printed.

    Raises:
        subprocess.TimeoutExpired: After `timeout` seconds.
    """
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'hooks'}", "HF_HUB_OFFLINE": "1"}
    command = [python, "-W", "ignore", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=env, timeout=timeout
    )
