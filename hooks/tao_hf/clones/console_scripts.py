"""Registers a model's command in the console scripts of a ``setup.py``, and takes it out again."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from tao_hf.base.errors import UserError
from tao_hf.clones import python_lists
from tao_hf.clones.python_lists import NotRecognisedError

PACKAGES = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}


def entries(tree: ast.Module) -> ast.List | ast.Tuple:
    """Return the list of console scripts in a parsed ``setup.py``: the locator for `python_lists`.

    Raises:
        NotRecognisedError: There is none, or more than one, or it is not a plain list.
    """
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "console_scripts":
                    found.append(value)
        elif isinstance(node, ast.keyword) and node.arg == "console_scripts":
            found.append(node.value)
    if len(found) != 1:
        raise NotRecognisedError(f"it has {len(found) or 'no'} lists of console_scripts")
    if isinstance(found[0], ast.Name):
        return python_lists.assigned(tree, found[0].id)
    if not isinstance(found[0], (ast.List, ast.Tuple)):
        raise NotRecognisedError("its console_scripts are not a plain list")
    return found[0]


def with_script(content: bytes, script: str) -> bytes:
    """Return a ``setup.py`` with the console script ``name=package.cv.name.module:function`` in it, once.

    Raises:
        NotRecognisedError: Its list of console scripts cannot be edited safely.
        UserError: The name is taken by another console script.
    """
    name = script.partition("=")[0]
    is_ours = _is_script_of(name)
    tree = python_lists.Source(content).tree
    for text in python_lists.constants(tree):
        if _compact(text).startswith(f"{name}=") and ":" in text and not is_ours(text):
            raise UserError(f"The console script {name} is taken by {text!r}; choose another model_name.")
    same = [text for text in python_lists.constants(tree) if is_ours(text)]
    if [_compact(text) for text in same] == [script]:
        return content
    mine = [text for text in python_lists.strings(entries(tree)) if is_ours(text)]
    if not mine:
        return python_lists.added(content, entries, script)
    kept = next((text for text in mine if _compact(text) == script), mine[0])
    mine.remove(kept)
    for text in mine:
        content = python_lists.removed(content, entries, text)
    return content if _compact(kept) == script else python_lists.replaced(content, entries, kept, script)


def without_script(content: bytes, model: str) -> bytes:
    """Return a ``setup.py`` without the console script of `model`.

    Raises:
        NotRecognisedError: It cannot be edited safely.
    """
    is_ours = _is_script_of(model)
    for script in filter(is_ours, python_lists.constants(python_lists.Source(content).tree)):
        content = python_lists.removed(content, entries, script)
    if any(map(is_ours, python_lists.constants(python_lists.Source(content).tree))):
        raise NotRecognisedError("the console script is not in its list of console_scripts")
    return content


def _compact(text: str) -> str:
    return "".join(text.split())


def _is_script_of(model: str) -> Callable[[str], bool]:
    """Return what tells whether a console script is ours: it bears the model's name and points into its package."""
    pattern = re.compile(rf"{model}=({'|'.join(PACKAGES.values())})\.cv\.{model}(\.\w+)*:[\w.]+")
    return lambda text: pattern.fullmatch(_compact(text)) is not None
