"""What the tasks say of themselves: ``tasks/<task>/task.yml``, read and checked. A folder more is a task more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tao_hf.base.errors import UserError
from tao_hf.base.paths import task_folder

_TEXTS = [str]
# The keys of task.yml and what stands under them: a type; a tuple of the words to choose from; a list of what each
# entry is; a mapping of keys that must all be there, but for those in _OPTIONAL. docs/adding-a-task.md explains them.
_KEYS = {
    "hub_tags": _TEXTS,
    "auto_models": _TEXTS,
    "reference": _TEXTS,
    "base": str,
    "network": str,
    "strategies": _TEXTS,
    "classes": bool,
    "inputs": [{"name": str, "kind": ("image",), "shape": _TEXTS}],
    "onnx_outputs": _TEXTS,
    "resize": ("own", "exact"),
    "engine_builder": str,
    "rows_per_image": ("one", "many"),
    "best_metric": ("highest", "lowest"),
    "data_files": _TEXTS,
    "data_settings": dict,
    "shared_settings": _TEXTS,
    "optim": {"lr": float, "lr_backbone": (float, None), "weight_decay": float, "clip_grad_norm": float},
    "without": _TEXTS,
    "only_if": dict,
    "demo": str,
    "tiny_models": {"module": str, "size": int, "goal": int, "answered": dict},
}
_OPTIONAL = ("base", "without", "only_if", "demo", "tiny_models")
_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", dict: "a mapping", None: "null"}


@cache
def task_types(root: Path) -> tuple[str, ...]:
    """Return the tasks that a template has: those with a ``task.yml``, in alphabetical order."""
    return tuple(sorted(file.parent.name.replace("_", "-") for file in (root / "tasks").glob("*/task.yml")))


@cache
def task(root: Path, task_type: str) -> Mapping[str, Any] | None:
    """Return what ``task.yml`` of a task says, `None` when the template has no such task.

    Args:
        root: Folder of the template.
        task_type: The task.

    Raises:
        UserError: The file is not as docs/adding-a-task.md describes it.
    """
    if task_type not in task_types(root):
        return None
    name = f"tasks/{task_folder(task_type)}/task.yml"
    found = _read(root, name)
    problem = next(_problems(found, _KEYS, ""), None)
    if problem is None and not (root / "networks" / found["network"]).is_dir():
        problem = f"network is {found['network']}, and there is no networks/{found['network']}/"
    if problem is None and "base" in found and found["base"] not in set(task_types(root)) - {task_type}:
        problem = f"base is {found['base']}, and there is no other task of that name"
    if problem:
        raise UserError(f"{name} cannot be used: {problem}; docs/adding-a-task.md describes its keys.")
    return found


def folders(root: Path, task_type: str) -> tuple[str, ...]:
    """Return the folders in ``tasks/`` that a task's files come from: those of the task that it is based on first."""
    base = task(root, task_type).get("base")
    return (*(folders(root, base) if base else ()), task_folder(task_type))


def demo(root: Path, task_type: str) -> Path | None:
    """Return the Python file with the demo of a task, `None` when it has none."""
    name = task(root, task_type).get("demo")
    return root / "tasks" / task_folder(task_type) / name if name else None


def with_tiny_models(root: Path) -> tuple[str, ...]:
    """Return the tasks that have a tiny model of every architecture, which the benchmarks measure."""
    return tuple(name for name in task_types(root) if "tiny_models" in task(root, name))


@cache
def other_tasks(root: Path) -> Mapping[str, list[str]]:
    """Return the vision tasks that a template has no folder for, and transformers' auto mappings that serve each.

    They stand in ``tasks/other.yml``, by the tag that they have on the Hub; what a folder claims is left out.
    """
    claimed = {tag for name in task_types(root) for tag in task(root, name)["hub_tags"]}
    return {tag: mappings for tag, mappings in _read(root, "tasks/other.yml").items() if tag not in claimed}


def _read(root: Path, name: str) -> Any:
    try:
        return yaml.safe_load((root / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{name} of the template cannot be read ({' '.join(str(error).split())}).") from error


def _problems(value: Any, wanted: Any, where: str) -> Iterator[str]:
    """Say how a value differs from what is wanted of it; see _KEYS."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            yield f"{where or 'it'} must be a mapping"
            return
        prefix = f"{where}." if where else ""
        yield from (f"there is no key called {prefix}{key}" for key in value if key not in wanted)
        yield from (f"{prefix}{key} is missing" for key in wanted if key not in value and key not in _OPTIONAL)
        for key in wanted.keys() & value.keys():
            yield from _problems(value[key], wanted[key], f"{prefix}{key}")
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f"{where} must be a list"
            return
        for number, entry in enumerate(value, start=1):
            yield from _problems(entry, wanted[0], f"entry {number} of {where}")
    elif not any(_fits(value, choice) for choice in (wanted if isinstance(wanted, tuple) else (wanted,))):
        choices = wanted if isinstance(wanted, tuple) else (wanted,)
        yield f"{where} must be {' or '.join(_WORDS.get(choice, choice) for choice in choices)}, and is {value!r}"


def _fits(value: Any, choice: Any) -> bool:
    if choice in (int, float):
        return isinstance(value, (int, choice)) and not isinstance(value, bool)
    return isinstance(value, choice) if isinstance(choice, type) else value == choice
