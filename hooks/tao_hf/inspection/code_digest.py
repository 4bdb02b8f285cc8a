"""A digest of the code that runs in the runtime: a change of any of it makes what it found before worthless.

The files are found in the code itself. From the module that is started, imports are followed through ``tao_hf``; a path
below ``TEMPLATE``, or of a YAML file, that a module writes down stands for the files there, with anything for its
variable parts; and a path of a generated file stands for its templates in all layers, with the templates that they
extend or import.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tao_hf.base.paths import TEMPLATE
from tao_hf.rendering import layers

_PACKAGE = "tao_hf"


@cache
def digest(entry: str, *folders: Path) -> str:
    """Return a name for the code that runs; see `files`."""
    return compute(TEMPLATE, entry, folders)


def compute(root: Path, entry: str, folders: Iterable[Path] = ()) -> str:
    """Return a name for the code that runs with the template in the folder `root`; see `files`."""
    found = hashlib.sha256()
    for path in files(root, entry, folders):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def files(root: Path, entry: str, folders: Iterable[Path] = ()) -> list[Path]:
    """Return the files of the code that runs, sorted.

    Args:
        root: Folder of the template.
        entry: The module that is started.
        folders: Further folders of the template on Python's path, whose packages are taken whole.
    """
    found = {path for folder in folders for path in folder.rglob("*.py")}
    templates: set[str] = set()
    waiting = [entry]
    known: dict[str, list[Path]] = {}
    while waiting:
        module = waiting.pop()
        if module in known:
            continue
        known[module] = _sources(root, module)
        for path in known[module]:
            tree = ast.parse(path.read_bytes())
            waiting += _imported(tree)
            found.update(_below_template(root, tree))
            found.update(_yaml(root, tree))
            templates.update(node.value for node in ast.walk(tree) if _is_text(node))
    found.update(path for paths in known.values() for path in paths)
    return sorted({*found, *_templates(root, templates)})


def _sources(root: Path, module: str) -> list[Path]:
    """Return the files that importing a module runs: its own and those of the packages around it."""
    parts = module.split(".")
    place = root / "hooks" / Path(*parts)
    own = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
    if own is None:
        return []
    around = [root / "hooks" / Path(*parts[:depth]) / "__init__.py" for depth in range(1, len(parts))]
    return [*around, own]


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports of the package, wherever in it; a name may be a module or something in one."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
        yield from (name for name in names if name.partition(".")[0] == _PACKAGE)


def _below_template(root: Path, tree: ast.Module) -> Iterator[Path]:
    """Yield the files at the paths that a module makes from ``TEMPLATE``; of a folder, the Python files in it."""
    for node in ast.walk(tree):
        parts = _parts(node)
        for place in root.glob("/".join(parts)) if parts else ():
            yield from place.rglob("*.py") if place.is_dir() else [place]


def _parts(node: ast.AST) -> list[str] | None:
    """Return the parts of an expression ``TEMPLATE / "a" / name``, "*" where they vary; None for other expressions."""
    if isinstance(node, ast.Name):
        return [] if node.id == "TEMPLATE" else None
    before = _parts(node.left) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else None
    return None if before is None else [*before, _pattern(node.right)]


def _yaml(root: Path, tree: ast.Module) -> Iterator[Path]:
    """Yield the YAML files whose paths below the template a module writes down."""
    for node in ast.walk(tree):
        pattern = _pattern(node) if _is_text(node) or isinstance(node, ast.JoinedStr) else ""
        if pattern.endswith(".yml") and not pattern.startswith("/"):
            yield from root.glob(pattern)


def _pattern(node: ast.AST) -> str:
    """Return what a text says, "*" where it varies."""
    pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(piece.value if _is_text(piece) else "*" for piece in pieces)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _templates(root: Path, texts: set[str]) -> set[Path]:
    """Return the templates of those texts that are paths of generated files, and what they are made with."""
    waiting = [
        file.source for layer in _layers(root) for path, file in layers.files_of_layer(root, layer).items()
        if path in texts
    ]  # fmt: skip
    if not waiting:
        return set()
    from jinja2 import meta  # most of this module's users name no generated file, and need Python alone

    from tao_hf.rendering import environment

    parser = environment.make(root)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            tree = parser.parse((root / name).read_text(encoding="utf-8"))
            waiting += filter(None, meta.find_referenced_templates(tree))
    return {root / name for name in found}


def _layers(root: Path) -> list[str]:
    """Return all layers that a model may have."""
    patterns = ("template", "networks/strategies/*", "networks/*", "networks/*/strategies/*", "tasks/*")
    return [path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)]
