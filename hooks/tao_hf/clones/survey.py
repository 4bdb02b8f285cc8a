"""Finds out what the TAO repositories hold, from files and syntax trees, running nothing of them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_hf.answers.model_name import free_name, model_name_problem
from tao_hf.clones import backbone_imports, console_scripts, python_lists

__all__ = ["explore", "free_name", "model_name_problem", "render"]

# The twelve places to read of a reference model: what it is, the repository, and patterns of which one must
# match. `{ref}` is the model. A pattern that ends in "#name" wants a file that defines the function `name`.
_LOCATIONS = (
    ("config schema", "tao-core", ("nvidia_tao_core/config/{ref}/default_config.py",)),
    ("model parameter mapping", "tao-core", ("nvidia_tao_core/config/{ref}/model_params_mapping.py",)),
    (
        "model builder",
        "tao-pytorch",
        (
            "nvidia_tao_pytorch/{kind}/{ref}/model/*.py#build_model",
            "nvidia_tao_pytorch/{kind}/{ref}/model/build*.py",
            "nvidia_tao_pytorch/{kind}/{ref}/model/{ref}*.py",
        ),
    ),
    (
        "Lightning module",
        "tao-pytorch",
        (
            "nvidia_tao_pytorch/{kind}/{ref}/model/*pl_model.py",
            "nvidia_tao_pytorch/{kind}/{ref}/model/pl_*.py",
            "nvidia_tao_pytorch/{kind}/{ref}/model/*/*pl_*.py",
        ),
    ),
    ("training script", "tao-pytorch", ("nvidia_tao_pytorch/{kind}/{ref}/scripts/train.py",)),
    ("export script", "tao-pytorch", ("nvidia_tao_pytorch/{kind}/{ref}/scripts/export.py",)),
    ("entrypoint", "tao-pytorch", ("nvidia_tao_pytorch/{kind}/{ref}/entrypoint/*.py",)),
    ("experiment specs", "tao-pytorch", ("nvidia_tao_pytorch/{kind}/{ref}/experiment_specs/*.yaml",)),
    ("engine builder script", "tao-deploy", ("nvidia_tao_deploy/{kind}/{ref}/scripts/gen_trt_engine.py",)),
    ("TensorRT inference script", "tao-deploy", ("nvidia_tao_deploy/{kind}/{ref}/scripts/inference.py",)),
    ("deploy specs", "tao-deploy", ("nvidia_tao_deploy/{kind}/{ref}/specs/*.yaml",)),
    ("unit tests", "tao-pytorch", ("tests/cv_unit_test/{ref}/*.py",)),
)
_MODEL_KINDS = ("cv", "ssl", "multimodal")
_MODEL_FOLDERS = {
    "tao-core": ("nvidia_tao_core/config",),
    "tao-pytorch": tuple(f"nvidia_tao_pytorch/{kind}" for kind in _MODEL_KINDS),
    "tao-deploy": tuple(f"nvidia_tao_deploy/{kind}" for kind in _MODEL_KINDS),
}
_BACKBONES = "nvidia_tao_pytorch/cv/backbone_v2"
_CONVERTERS = "nvidia_tao_ds/annotations/conversion"


def explore(paths: Mapping[str, Path], candidates: Sequence[str], workdir: Path | None = None) -> dict[str, Any]:
    """Read what the repositories hold.

    Args:
        paths: Where each repository can be read, by name; those that are not there are left out.
        candidates: The TAO models to learn from, best first; the first that the clones hold is the reference.
        workdir: The working directory, to tell its own models from TAO's.

    Returns:
        JSON-like: ``reference`` with ``model`` (`None` when no candidate is there),
        ``candidates`` and ``locations`` (``title``, ``repo``, ``path`` or `None`); ``backbones`` with
        ``registered``, ``exported`` (names) and ``files``; ``models`` (names by repository);
        ``console_scripts`` (name to target by repository); ``converters`` (`None` without tao-dataservices);
        ``own_models``; ``unreadable`` (files that do not parse).
    """
    unreadable: list[str] = []
    models = {name: _models(path, name) for name, path in paths.items() if name in _MODEL_FOLDERS}
    reference = next((name for name in candidates if name in models.get("tao-pytorch", [])), None) or next(
        (name for name in candidates if any(name in names for names in models.values())), None
    )
    return {
        "reference": {
            "model": reference,
            "candidates": list(candidates),
            "locations": _locations(paths, reference) if reference else [],
        },
        "backbones": _backbones(paths.get("tao-pytorch"), unreadable),
        "models": models,
        "console_scripts": {
            name: _scripts(paths[name], unreadable) for name in ("tao-pytorch", "tao-deploy") if name in paths
        },
        "converters": _converters(paths.get("tao-dataservices")),
        "own_models": sorted(path.parent.name for path in workdir.glob(".tao-hf/*/answers.yml")) if workdir else [],
        "unreadable": unreadable,
    }


def render(explored: Mapping[str, Any]) -> str:
    """Return what `explore` found as a short table for the terminal."""
    reference = explored["reference"]
    backbones = explored["backbones"]
    found = [place for place in reference["locations"] if place["path"]]
    missing = [place["title"] for place in reference["locations"] if not place["path"]]
    if reference["model"]:
        places = f"{reference['model']} ({len(found)} of {len(_LOCATIONS)} reference locations)"
    else:
        places = f"none of {', '.join(reference['candidates'])}" if reference["candidates"] else "none known"
    rows = [("reference model", places)]
    if missing:
        rows.append(("  not there", ", ".join(missing)))
    names = sorted(set(backbones["registered"]) | set(backbones["exported"]))
    rows.append(("backbones", f"{len(names)} registered in {len(backbones['files'])} files"))
    rows.append(("model folders", ", ".join(f"{len(names)} in {repo}" for repo, names in explored["models"].items())))
    scripts = explored["console_scripts"]
    rows.append(("console scripts", ", ".join(f"{len(names)} in {repo}" for repo, names in scripts.items())))
    converters = explored["converters"]
    rows.append(("data converters", "tao-dataservices is not there" if converters is None else ", ".join(converters)))
    if explored["unreadable"]:
        rows.append(("not valid Python", ", ".join(explored["unreadable"])))
    return "\n".join(f"  {title:<17} {text}" for title, text in rows)


def _folders(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _models(path: Path, repo: str) -> list[str]:
    return sorted({name for folder in _MODEL_FOLDERS[repo] for name in _folders(path / folder)})


def _locations(paths: Mapping[str, Path], reference: str) -> list[dict[str, Any]]:
    result = []
    for title, repo, patterns in _LOCATIONS:
        found = next(
            (
                match
                for pattern in patterns
                for kind in _MODEL_KINDS
                for match in _matches(paths.get(repo), pattern.format(ref=reference, kind=kind))
            ),
            None,
        )
        result.append({"title": title, "repo": repo, "path": found})
    return result


def _matches(path: Path | None, pattern: str) -> list[str]:
    """Return the files that match a location's pattern, relative to the repository."""
    if path is None:
        return []
    glob, _, function = pattern.partition("#")
    files = [file for file in sorted(path.glob(glob)) if file.name != "__init__.py" and file.is_file()]
    if function:
        files = [file for file in files if function in _functions(file)]
    return [file.relative_to(path).as_posix() for file in files]


def _functions(file: Path) -> set[str]:
    tree = _parse(file)
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} if tree else set()


def _parse(file: Path) -> ast.Module | None:
    try:
        return python_lists.Source(file.read_bytes()).tree
    except (OSError, python_lists.NotRecognisedError):
        return None


def _backbones(path: Path | None, unreadable: list[str]) -> dict[str, Any]:
    """Return the registered functions and classes, by file, and the names that the package exports."""
    folder = path / _BACKBONES if path else None
    if path is None or folder is None or not folder.is_dir():
        return {"registered": [], "exported": [], "files": {}}
    files: dict[str, list[str]] = {}
    exported: list[str] = []
    for file in sorted(folder.rglob("*.py")):
        relative = file.relative_to(folder).as_posix()
        tree = _parse(file)
        if tree is None:
            unreadable.append(file.relative_to(path).as_posix())
            continue
        if relative == "__init__.py":
            exported = _exported(tree)
        names = [name for node in ast.walk(tree) for name in _registered(node)]
        if names:
            files[relative] = names
    return {
        "registered": sorted({name for names in files.values() for name in names}),
        "exported": exported,
        "files": files,
    }


def _registered(node: ast.AST) -> list[str]:
    """Return the name of a definition that ``BACKBONE_REGISTRY.register`` decorates, as a list of one."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not (isinstance(call, ast.Attribute) and call.attr == "register"):
            continue
        if isinstance(call.value, ast.Name) and call.value.id == "BACKBONE_REGISTRY":
            return [node.name]
    return []


def _exported(tree: ast.Module) -> list[str]:
    """Return the names ``backbone_v2/__init__.py`` imports from its own files, and those in ``__all__``."""
    names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.level or "backbone_v2." in (node.module or ""))
        for alias in node.names
    }
    with contextlib.suppress(python_lists.NotRecognisedError):
        names.update(python_lists.strings(backbone_imports.exported(tree)))
    return sorted(names - {"BACKBONE_REGISTRY", "*"})


def _scripts(path: Path, unreadable: list[str]) -> dict[str, str]:
    try:
        tree = python_lists.Source((path / "setup.py").read_bytes()).tree
        listed = python_lists.strings(console_scripts.entries(tree))
    except (OSError, python_lists.NotRecognisedError):
        unreadable.append(f"{path.name}/setup.py")
        return {}
    pairs = (item.partition("=") for item in listed)
    return {name.strip(): target.strip() for name, _, target in pairs}


def _converters(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    files = sorted(file.stem for file in (path / _CONVERTERS).glob("*.py"))
    return [name for name in files if "_to_" in name]
