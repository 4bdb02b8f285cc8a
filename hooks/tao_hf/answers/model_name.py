"""Says what is wrong with a model name before anything of that name is written."""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from typing import Any

_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FOLDERS = ("bin", "hide_in_deploy", "lib", "locks", "removed", "standins", "tools")  # beside the models in .tao-hf
MAX_LENGTH = 60  # a generated file name holds the name up to twice, and file names end at 255 bytes


def model_name_problem(name: str, explored: Mapping[str, Any]) -> str | None:
    """Return one sentence saying why `name` cannot be a model's name, or `None` when it can.

    Args:
        name: The answer.
        explored: What `survey.explore` found; its ``own_models`` are names this working directory uses
            already, which are fine: running the template again for them is no collision.
    """
    return _form_problem(name) or _word_problem(name) or _taken_problem(name, explored)


def free_name(name: str, explored: Mapping[str, Any]) -> str:
    """Return `name` made into one that a model can have here: in snake_case, with ``_hf`` when it is taken.

    Args:
        name: Any text, such as the last part of a Hub id.
        explored: As for `model_name_problem`.
    """
    base = _suggestion(name)[: MAX_LENGTH - 10].rstrip("_") or "hf_model"
    candidates = itertools.chain((base, f"{base}_hf"), (f"{base}_hf_{number}" for number in itertools.count(2)))
    return next(candidate for candidate in candidates if model_name_problem(candidate, explored) is None)


def _form_problem(name: str) -> str | None:
    shown = ascii(name if len(name) <= MAX_LENGTH else name[:MAX_LENGTH] + "…")
    if not name:
        return "model_name is empty; give the model a snake_case name such as vit_base_p16."
    if len(name) > MAX_LENGTH:
        return f"model_name {shown} is longer than {MAX_LENGTH} characters; shorten it."
    if "/" in name or "\\" in name or name.startswith((".", "~")) or ".." in name:
        return f"model_name {shown} is a path; give a plain name such as vit_base_p16."
    if not name.isascii():
        return f"model_name {shown} has characters outside ASCII; use a-z, 0-9 and _ only."
    if _SNAKE_CASE.fullmatch(name):
        return None
    example = "vit_base_p16"
    if _SNAKE_CASE.fullmatch(_suggestion(name)):
        example = _suggestion(name)
    return f"model_name {shown} is not snake_case (a-z, 0-9, single _, a letter first); try {example}."


def _suggestion(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).lstrip("_0123456789").rstrip("_")


def _word_problem(name: str) -> str | None:
    if keyword.iskeyword(name) or name in ("true", "false", "none"):
        return f"model_name {name!r} is a Python keyword; append something, such as {name}_model."
    if keyword.issoftkeyword(name):
        return f"model_name {name!r} is a soft keyword of Python; append something, such as {name}_model."
    if name in sys.stdlib_module_names:
        return f"model_name {name!r} is a module of Python's library; append something, such as {name}_model."
    if name in _FOLDERS:
        return f"model_name {name!r} is a folder that .tao-hf has for itself; append something, such as {name}_model."
    if hasattr(builtins, name):
        return f"model_name {name!r} is a built-in of Python; append something, such as {name}_model."
    return None


def _taken_problem(name: str, explored: Mapping[str, Any]) -> str | None:
    if name in explored.get("own_models", ()):
        return None
    for repo, models in explored["models"].items():
        if name in models:
            return f"model_name {name!r} is a folder of {repo} already; choose another, such as {name}_hf."
    for repo, scripts in explored["console_scripts"].items():
        if name in scripts:
            return f"model_name {name!r} is a console script of {repo}; choose another, such as {name}_hf."
    backbones = explored["backbones"]
    if name in backbones["registered"] or name in backbones["exported"]:
        return f"model_name {name!r} is a backbone of tao-pytorch already; choose another, such as {name}_hf."
    if f"{name}.py" in backbones["files"]:
        return f"model_name {name!r} is a backbone file of tao-pytorch; choose another, such as {name}_hf."
    if shutil.which(name):
        return f"model_name {name!r} is a command here, which the model's own would hide; choose another."
    return None
