"""The Hugging Face model: inspected, and refused where no task of this template is for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import say
from tao_hf.base.text import one_line
from tao_hf.inspection import findings_table, inspect
from tao_hf.rendering import tasks

DISTINCT_LABELS = 0.99
UNUSED = "N/A"  # the name of a class index that stands for nothing


def task_types() -> list[str]:
    """Return the task types this version of the template can generate."""
    return list(tasks.task_types(TEMPLATE))


def has_classes(task_type: str) -> bool:
    """Tell whether models of a task have a list of classes."""
    about = tasks.task(TEMPLATE, task_type)
    return about is not None and about["classes"]


def inspect_model(
    hf_model_id: str,
    containers: Mapping[str, Any],
    keep_scratch: bool,
    task_type: str | None = None,
    inspected: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Inspect the model for a task, show the findings as a table, and return them.

    Args:
        hf_model_id: The model.
        containers: Where the inspection runs.
        keep_scratch: Whether to keep what it downloads.
        task_type: The task; None for the likeliest of those that the model can be for.
        inspected: Findings from before, which are returned where they are for this task.
    """
    if inspected and inspected["task_type"] == task_type:
        return inspected
    findings = inspect.inspect_model(
        hf_model_id, containers["kind"], task_type=task_type, accept_labels=True, keep_scratch=keep_scratch
    )
    say(findings_table.render(findings, min(shutil.get_terminal_size().columns, 100)))
    if findings["task_type"] not in task_types():
        raise UserError(
            f"{one_line(hf_model_id)} is made for {findings['task_type']}; this version of the template generates "
            f"{', '.join(task_types())}. Choose a model of such a task."
        )
    if has_classes(findings["task_type"]) and _labels_broken(findings["labels"]):
        raise UserError(
            f"The label names of {one_line(hf_model_id)} cannot be used: {findings['label_problem']}; correct id2label "
            "in the config.json of a local copy."
        )
    return findings


def _labels_broken(labels: Sequence[str]) -> bool:
    """Tell whether a name is empty, or more repeat than in ImageNet, which itself has the class crane twice."""
    named = [label for label in labels if label != UNUSED]
    return not named or any(not label.strip() for label in named) or len(set(named)) < DISTINCT_LABELS * len(named)
