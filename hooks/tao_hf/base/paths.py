"""Where the template lies."""

from __future__ import annotations

from pathlib import Path

# The folder of the template, or of its tools in a working directory, which have ``standins/`` in the same place.
TEMPLATE = Path(__file__).resolve().parents[3]


def task_folder(task_type: str) -> str:
    """Return the name of a task's folder in ``tasks/``: its words joined by underscores instead of hyphens."""
    return task_type.replace("-", "_")
