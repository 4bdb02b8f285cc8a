"""What a task's room says of the outputs of its models: the module outputs.py in the room's folder for the runtime."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

_TASKS = Path(__file__).resolve().parents[3] / "tasks"


@cache
def load(task_type: str) -> Any:
    """Return the module of a task type, None when this version has no room for it.

    The module has

        EXACT_RESIZE: whether pictures are resized to the input size, whatever the model's own recipe is
        LABEL_GAPS: whether id2label may leave out indices, or call several of them "N/A"
        OUTPUTS: names of the exported tensors, in order
        DYNAMIC_SIZE: whether height and width of the export are to be dynamic where the architecture can do it
        refuse(cls): why a transformers class cannot serve the task, half a sentence, or None
        run(model, images, **kwargs): the exported tensors of a transformers model for images (N, C, H, W)
        difference(expected, got): the largest difference of two such tuples of arrays, and the scale to see it on
        plan(model, images): what the task's templates need to know of a model, for a network that is the model whole
    """
    file = _TASKS / task_type.replace("-", "_") / "runtime" / "outputs.py"
    if not file.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"outputs_of_{file.parents[1].name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
