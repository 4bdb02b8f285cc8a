"""Which task the tiny models of a module are for."""

from __future__ import annotations

from tao_hf.rendering import tasks
from tests.support.paths import ROOT


def task_of(module: str) -> str:
    """Return the task whose tiny models a module of this folder makes."""
    (task,) = (
        name for name in tasks.with_tiny_models(ROOT) if tasks.task(ROOT, name)["tiny_models"]["module"] == module
    )
    return task
