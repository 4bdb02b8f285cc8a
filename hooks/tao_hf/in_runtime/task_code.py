"""What a task brings for the runtime: the modules in its folder ``runtime/``."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from tao_hf.base.paths import TEMPLATE, task_folder


@cache
def load(task_type: str, module: str) -> ModuleType | None:
    """Return a module of a task, None when this version of the template does not have the task.

    ``outputs`` has

        LABEL_GAPS: whether id2label may leave out indices, or call several of them "N/A"
        DYNAMIC_SIZE: whether height and width of the export are to be dynamic where the architecture can do it
        refuse(cls, config): why a transformers class with this config.json cannot serve the task, half a sentence, or
            None
        run(model, images, **kwargs): the exported tensors of a transformers model for images (N, C, H, W)
        TOLERANCE: what of the largest output an export may differ by; one that differs by more is called approximate
        difference(expected, got): the largest difference of two such tuples of arrays, and the scale to see it on
        agreement(expected, got): which part of what two such tuples of arrays predict is the same
        measure(model, images): what the task's templates need to know of a model, for a network that is the model whole
        losses(model, images, measured): the losses of the ways to train a model in training mode, one after the other,
            or outputs that stand for a loss of ours

    ``synthetic`` and ``comparison`` are described where they are used: `tools.dataset`, `check.crosscheck`.
    """
    file = TEMPLATE / "tasks" / task_folder(task_type) / "runtime" / f"{module}.py"
    return load_file(file) if file.is_file() else None


def load_file(file: Path) -> ModuleType:
    """Return a Python file of a task as a module."""
    name = "_".join(file.relative_to(TEMPLATE).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, file)
    loaded = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(loaded)
    return loaded
