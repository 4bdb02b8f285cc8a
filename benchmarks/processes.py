"""Python processes in the local runtime that see the tests' tiny models and the inspection."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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


def side_by_side(
    measure: Callable[[str], Any], names: list[str], folder: Path, *, jobs: int, resume: bool
) -> Iterator[tuple[str, Any]]:
    """Measure names, several at a time, each on its share of the cores; yield names and findings in order.

    Args:
        measure: Returns what was found of a name.
        names: What to measure.
        folder: Keeps what was found, in <name>.json.
        jobs: How many at a time.
        resume: Take what the folder has instead of measuring it again.
    """
    def kept(name: str) -> Any:
        file = folder / f"{name}.json"
        if not (resume and file.is_file()):
            file.write_text(json.dumps(measure(name), indent=1) + "\n", encoding="utf-8")
        return json.loads(file.read_text(encoding="utf-8"))

    folder.mkdir(parents=True, exist_ok=True)
    if jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(names, pool.map(kept, names), strict=True)
