"""Registers a generated model in TAO's own files, and takes it out again, as small exact text edits.

The files are ``setup.py`` (console script), ``backbone_v2/__init__.py`` (import and ``__all__``) and pytest's
ini file. The place is found with the standard library's ``ast`` and ``tokenize``, not libcst: hooks may use
only what Copier depends on, and ``./tao-hf`` runs without even that.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tao_hf import atomic, gitcmd, pylists, pytest_ini
from tao_hf.errors import UserError
from tao_hf.pylists import NotRecognisedError

State = Literal["applied", "absent", "missing", "unreadable"]

_PACKAGES = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
_BACKBONES = "nvidia_tao_pytorch.cv.backbone_v2"
_BACKBONES_FILE = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
_MARKERS = {
    "cv_unit": "unit tests of computer-vision models",
    "train": "tests that train",
    "evaluate": "tests that evaluate",
    "inference": "tests that run inference",
    "export": "tests that export to ONNX",
    "gen_trt_engine": "tests that build a TensorRT engine",
}


def apply(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> list[str]:
    """Register `model_name` in the clones of `workdir`; what is registered already stays as it is.

    Args:
        workdir: The working directory with ``tao-pytorch/`` and ``tao-deploy/``.
        model_name: The model.
        backbone_module: The model's file in ``backbone_v2/`` (without ``.py``); `None` when it reuses a
            backbone.
        backbone_names: What to import from that file and list in ``__all__``.

    Returns:
        The changed or created files, relative to `workdir`. All are written or none is.

    Raises:
        UserError: A file is missing, cannot be written, or has a form that cannot be edited safely; nothing
            is changed then and the sentence holds the lines to add by hand.
    """
    edits: dict[Path, bytes | None] = {}
    for repo, package in _PACKAGES.items():
        script = f"{model_name}={package}.cv.{model_name}.entrypoint.{model_name}:main"
        setup = workdir / repo / "setup.py"
        try:
            edits[setup] = with_script(_read(setup), script)
        except NotRecognisedError as error:
            raise _by_hand(setup, error, f"add {script!r} to the list of console_scripts") from error
        ini, section = pytest_file(workdir / repo)
        lines = pytest_ini.wanted(model_name, _MARKERS)
        try:
            if ini.suffix == ".toml":
                _require_toml_markers(ini, lines)
            else:
                before = _read(ini) if ini.exists() else pytest_ini.skeleton(["tests"])
                edits[ini] = pytest_ini.added(before, section, lines)
        except NotRecognisedError as error:
            listed = "; ".join(lines.values())
            raise _by_hand(ini, error, f"declare these markers in its [{section}] section: {listed}") from error
    if backbone_module:
        init = workdir / "tao-pytorch" / _BACKBONES_FILE
        try:
            edits[init] = with_backbone(_read(init), backbone_module, backbone_names)
        except NotRecognisedError as error:
            names = ", ".join(backbone_names)
            line = f"from {_BACKBONES}.{backbone_module} import {names}"
            raise _by_hand(init, error, f"add the line {line!r} and list {names} in __all__") from error
    return _write(workdir, edits)


def unapply(workdir: Path, model_name: str, backbone_module: str | None = None) -> list[str]:
    """Take out again what `apply` put in; a pytest.ini that we made goes with the last model.

    Args:
        workdir: The working directory.
        model_name: The model.
        backbone_module: Its file in ``backbone_v2/``; `model_name` when `None`.

    Returns:
        The changed or deleted files, relative to `workdir`.

    Raises:
        UserError: A file cannot be written or edited safely; nothing is changed then.
    """
    edits: dict[Path, bytes | None] = {}
    for repo in _PACKAGES:
        for path in _patched_files(workdir / repo):
            relative = path.relative_to(workdir / repo).as_posix()
            try:
                edits[path] = without(relative, _read(path), model_name, backbone_module)
            except NotRecognisedError as error:
                raise _by_hand(path, error, f"take out the lines that name {model_name}") from error
    return _write(workdir, edits)


def status(workdir: Path, model_name: str, backbone_module: str | None = None) -> dict[str, State]:
    """Return for each patched file (path relative to `workdir`) whether `model_name` is registered in it.

    ``missing`` means that the file is not there, ``unreadable`` that it cannot be parsed. The backbone file
    is reported only when `backbone_module` is given.
    """
    result: dict[str, State] = {}
    for repo in _PACKAGES:
        ini, _ = pytest_file(workdir / repo)
        paths = [workdir / repo / "setup.py", ini]
        if repo == "tao-pytorch" and backbone_module:
            paths.append(workdir / repo / _BACKBONES_FILE)
        for path in paths:
            relative = path.relative_to(workdir / repo).as_posix()
            result[f"{repo}/{relative}"] = _state(path, relative, model_name, backbone_module)
    return result


def without(relative: str, content: bytes, model_name: str, backbone_module: str | None = None) -> bytes | None:
    """Return a patched file's `content` as it was before `model_name` was registered in it.

    Args:
        relative: The file's path inside its clone; other files than those we patch are returned as they are.
        content: The file.
        model_name: The model.
        backbone_module: Its file in ``backbone_v2/``; `model_name` when `None`.

    Returns:
        The content, or `None` when the whole file was ours.

    Raises:
        NotRecognisedError: The file has a form that cannot be edited safely.
    """
    if relative == "setup.py":
        for package in _PACKAGES.values():
            script = f"{model_name}={package}.cv.{model_name}.entrypoint.{model_name}:main"
            content = pylists.removed(content, console_scripts, script)
        return content
    if relative == _BACKBONES_FILE:
        return _without_backbone(content, backbone_module or model_name)
    for name, section in _INI_FILES:
        if relative == name:
            return pytest_ini.removed(content, section, model_name)
    return content


def only_ours(repo: Path, relative: str, models: Mapping[str, str]) -> bool:
    """Return whether a tracked file of a clone differs from its last commit by our patches alone.

    Args:
        repo: The clone.
        relative: The file's path inside it.
        models: The models of the working directory, with the names of their files in ``backbone_v2/``.
    """
    try:
        committed = gitcmd.text("rev-parse", f"HEAD:{relative}", cwd=repo)
        versions = [(repo / relative).read_bytes(), gitcmd.run("cat-file", "blob", f":{relative}", cwd=repo)]
        for version in versions:
            stripped: bytes | None = version
            for model, module in models.items():
                if stripped is not None:
                    stripped = without(relative, stripped, model, module)
            digest = gitcmd.run("hash-object", "--path", relative, "--stdin", cwd=repo, stdin=stripped or b"")
            if digest.decode().strip() != committed:
                return False
    except (gitcmd.GitError, NotRecognisedError, OSError):
        return False
    return True


def console_scripts(tree: ast.Module) -> ast.List | ast.Tuple:
    """Return the list of console scripts in a parsed ``setup.py``: the locator for `pylists`.

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
        return _assigned(tree, found[0].id)
    if not isinstance(found[0], (ast.List, ast.Tuple)):
        raise NotRecognisedError("its console_scripts are not a plain list")
    return found[0]


def exported(tree: ast.Module) -> ast.List | ast.Tuple:
    """Return the list assigned to ``__all__``: the locator for `pylists`.

    Raises:
        NotRecognisedError: There is none, or it is put together from several parts.
    """
    return _assigned(tree, "__all__")


def with_script(content: bytes, script: str) -> bytes:
    """Return a ``setup.py`` with the console script ``name=module:function`` in it.

    Raises:
        NotRecognisedError: Its list of console scripts cannot be edited safely.
        UserError: The name is taken by another console script.
    """
    name = script.partition("=")[0]
    for other in pylists.strings(console_scripts(pylists.Source(content).tree)):
        if other.partition("=")[0].strip() == name:
            if "".join(other.split()) == script:
                return content
            raise UserError(f"The console script {name} is taken by {other!r}; choose another model_name.")
    return pylists.added(content, console_scripts, script)


def with_backbone(content: bytes, module: str, names: Sequence[str]) -> bytes:
    """Return ``backbone_v2/__init__.py`` with `names` imported from `module` and listed in ``__all__``.

    Raises:
        NotRecognisedError: It cannot be edited safely.
    """
    source = pylists.Source(content)
    have = {alias.name for node in _imports(source.tree, module) for alias in node.names}
    missing = [name for name in names if name not in have]
    if missing:
        content = _with_import(source, module, missing)
    source = pylists.Source(content)
    if not _assigns(source.tree, "__all__"):
        return content
    for name in names:
        if name not in pylists.strings(exported(pylists.Source(content).tree)):
            content = pylists.added(content, exported, name)
    return content


def pytest_file(repo: Path) -> tuple[Path, str]:
    """Return the file that pytest takes its settings from in `repo` (else pytest.ini), and its section."""
    for name, section in _INI_FILES:
        path = repo / name
        if path.is_file() and (name.endswith("pytest.ini") or f"[{section}]" in path.read_text("utf-8", "replace")):
            return path, section
    return repo / "pytest.ini", "pytest"


# In the order in which pytest looks for them.
_INI_FILES = (
    ("pytest.ini", "pytest"),
    (".pytest.ini", "pytest"),
    ("pyproject.toml", "tool.pytest.ini_options"),
    ("tox.ini", "pytest"),
    ("setup.cfg", "tool:pytest"),
)


def _require_toml_markers(path: Path, lines: dict[str, str]) -> None:
    """Accept a pyproject.toml whose pytest section declares the markers already; we do not edit TOML."""
    text = path.read_text("utf-8")
    if not all(f'"{name}' in text or f"'{name}" in text for name in lines):
        raise NotRecognisedError("it is TOML, which the template does not edit")


def _assigns(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the top-level statements that give `name` a value or change it."""
    found: list[ast.stmt] = []
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            found.append(node)
    return found


def _assigned(tree: ast.Module, name: str) -> ast.List | ast.Tuple:
    statements = _assigns(tree, name)
    if len(statements) == 1 and isinstance(statements[0], (ast.Assign, ast.AnnAssign)):
        value = statements[0].value
        if isinstance(value, (ast.List, ast.Tuple)):
            return value
    raise NotRecognisedError(f"{name} is not one plain list")


def _imports(tree: ast.Module, module: str) -> list[ast.ImportFrom]:
    """Return the top-level statements that import from the backbone file `module`."""
    absolute, relative = f"{_BACKBONES}.{module}", module
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module, node.level) in {(absolute, 0), (relative, 1)}
    ]


def _with_import(source: pylists.Source, module: str, names: Sequence[str]) -> bytes:
    imports = [node for node in source.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not imports:
        raise NotRecognisedError("it has no import to put ours after")
    place = source.line_end(source.span(imports[-1])[1])
    newline = source.newline()
    rows = [f"from {_BACKBONES}.{module} import (", *(f"    {name}," for name in names), ")"]
    before = source.text[:place]
    addition = "".join(row + newline for row in rows) if before.endswith(("\n", "\r")) else newline + newline.join(rows)
    text = before + addition + source.text[place:]
    statement = ast.parse("\n".join(rows)).body[0]
    expected = [ast.dump(node) for node in source.tree.body]
    expected.insert(source.tree.body.index(imports[-1]) + 1, ast.dump(statement))
    try:
        result = pylists.Source(text.encode(source.encoding))
    except (NotRecognisedError, UnicodeEncodeError) as error:
        raise NotRecognisedError("the import cannot be added safely") from error
    if [ast.dump(node) for node in result.tree.body] != expected:
        raise NotRecognisedError("the import cannot be added safely")
    return result.encode()


def _without_backbone(content: bytes, module: str) -> bytes:
    source = pylists.Source(content)
    statements = [node for node in _imports(source.tree, module) if node.level == 0]
    if not statements:
        return content
    names = [alias.name for node in statements for alias in node.names]
    text = source.text
    for node in reversed(statements):
        start, end = source.span(node)
        stop = source.line_end(end)
        if source.line_start(start) != start or text[end:stop].strip():
            raise NotRecognisedError(f"the import of {module} shares its line with other code")
        kept = text[:start]
        if stop == len(text) and not text.endswith(("\n", "\r")):
            kept = kept.removesuffix(source.newline())
        text = kept + text[stop:]
    content = text.encode(source.encoding)
    if _assigns(source.tree, "__all__"):
        for name in names:
            content = pylists.removed(content, exported, name)
    pylists.Source(content)
    return content


def _patched_files(repo: Path) -> list[Path]:
    """Return the files of a clone that we may have patched and that are there."""
    names = ["setup.py", _BACKBONES_FILE, *(name for name, _ in _INI_FILES if not name.endswith(".toml"))]
    return [repo / name for name in names if (repo / name).is_file()]


def _state(path: Path, relative: str, model_name: str, backbone_module: str | None) -> State:
    try:
        content = path.read_bytes()
        if path.suffix == ".toml":
            _require_toml_markers(path, pytest_ini.wanted(model_name, _MARKERS))
            return "applied"
        if relative == _BACKBONES_FILE:
            return "applied" if _imports(pylists.Source(content).tree, backbone_module or model_name) else "absent"
        if relative == "setup.py":
            scripts = pylists.strings(console_scripts(pylists.Source(content).tree))
            return "applied" if any(item.partition("=")[0].strip() == model_name for item in scripts) else "absent"
        section = dict(_INI_FILES)[relative]
        return "applied" if model_name in pytest_ini.markers(content, section) else "absent"
    except OSError:
        return "missing"
    except NotRecognisedError:
        return "unreadable"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); is its clone complete?") from error


def _by_hand(path: Path, error: NotRecognisedError, what: str) -> UserError:
    return UserError(f"{path} was left as it is, because {error}; please {what} by hand, then run this again.")


def _write(workdir: Path, edits: dict[Path, bytes | None]) -> list[str]:
    """Write the edits that change something (`None`: delete the file) and return their paths."""
    changed = {
        path: content for path, content in edits.items() if content != (path.read_bytes() if path.exists() else None)
    }
    try:
        atomic.write_all(changed)
    except OSError as error:
        names = ", ".join(map(str, changed))
        raise UserError(f"{names} could not be written ({error.strerror or error}); nothing was changed.") from error
    return [path.relative_to(workdir).as_posix() for path in changed]
