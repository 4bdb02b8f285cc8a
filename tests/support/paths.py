"""Where this repository's own files lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "hooks"
FAMILIES = ROOT / "networks" / "backbone"  # where the package `families` lies
STANDINS = ROOT / "standins"


def in_runtime(*more: Path) -> dict[str, str]:
    """Return the environment in which `python -m tests.support.…` finds itself and the template in the runtime.

    Args:
        *more: Further folders on the path, such as a tao-pytorch.
    """
    path = os.pathsep.join(map(str, (ROOT, HOOKS, FAMILIES, *more)))
    return {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
