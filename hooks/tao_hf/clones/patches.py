"""Registers a generated model in TAO's own files, and takes it out again, as small exact text edits.

The files are ``setup.py`` (console script), ``backbone_v2/__init__.py`` (import and ``__all__``) and pytest's
ini file. The place is found with the standard library's ``ast`` and ``tokenize``, not libcst: hooks may use
only what Copier depends on, and ``./tao-hf`` runs without even that.

What another version of the template has put there is known by its form, whatever it says: a console script that
points into the model's own package, an import below our comment or from our file, marker lines with our checksums.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from tao_hf.base import atomic, git
from tao_hf.base.errors import UserError
from tao_hf.clones import pytest_ini, python_lists
from tao_hf.clones.python_lists import NotRecognisedError
from tao_hf.workdir import merge

State = Literal["applied", "incomplete", "absent", "missing", "unreadable"]
Edits = dict[Path, "bytes | None"]

_PACKAGES = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
_BACKBONES = "nvidia_tao_pytorch.cv.backbone_v2"
_BACKBONES_FILE = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
# In the order in which pytest looks for them.
_INI_FILES = (
    ("pytest.ini", "pytest"),
    (".pytest.ini", "pytest"),
    ("pyproject.toml", "tool.pytest.ini_options"),
    ("tox.ini", "pytest"),
    ("setup.cfg", "tool:pytest"),
)
_MARKERS = {
    "cv_unit": "unit tests of computer-vision models",
    "train": "tests that train",
    "evaluate": "tests that evaluate",
    "inference": "tests that run inference",
    "export": "tests that export to ONNX",
    "gen_trt_engine": "tests that build a TensorRT engine",
}


class _Part(NamedTuple):
    """One of the files that a model is registered in.

    Attributes:
        path: The file.
        relative: Its path inside its clone.
        by_hand: What a person can do where we cannot.
        edits: Computes what it has to become, and the files that it takes over from.
    """

    path: Path
    relative: str
    by_hand: str
    edits: Callable[[], Edits]


def apply(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> list[str]:
    """Register `model_name` in the clones of `workdir`, as `edits` computes it.

    Returns:
        The changed, created or deleted files, relative to `workdir`. All are written or none is.

    Raises:
        UserError: As for `edits`, or a file cannot be written; nothing is changed then.
    """
    return _write(workdir, edits(workdir, model_name, backbone_module, backbone_names))


def edits(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> Edits:
    """Return what has to be written to register `model_name` in the clones of `workdir`, each time exactly once.

    What is registered already stays as it is; what another version of the template registered is brought up to date,
    and goes along when pytest's settings are in another file now.

    Args:
        workdir: The working directory with ``tao-pytorch/`` and ``tao-deploy/``.
        model_name: The model.
        backbone_module: The model's file in ``backbone_v2/`` (without ``.py``); `None` when it reuses a
            backbone.
        backbone_names: What to import from that file and list in ``__all__``.

    Returns:
        By path the new content (`None`: delete the file) of the files that have to change.

    Raises:
        UserError: A file is missing, or has a form that cannot be edited safely; the sentence holds the lines to
            add by hand.
    """
    result: Edits = {}
    for part in _parts(workdir, model_name, backbone_module, backbone_names):
        try:
            result.update(part.edits())
        except NotRecognisedError as error:
            raise _by_hand(part.path, error, part.by_hand) from error
    return _changes(result)


def unapply(workdir: Path, model_name: str, backbone_module: str | None = None) -> list[str]:
    """Take out again what `apply`, of whichever version, put in; a pytest.ini that we made goes with the last model.

    Args:
        workdir: The working directory.
        model_name: The model.
        backbone_module: Its file in ``backbone_v2/``, for an import that a person wrote.

    Returns:
        The changed or deleted files, relative to `workdir`.

    Raises:
        UserError: A file cannot be written or edited safely; nothing is changed then.
    """
    result: Edits = {}
    for path, relative in _candidates(workdir):
        if path.is_file():
            try:
                result[path] = without(relative, _read(path), model_name, backbone_module)
            except NotRecognisedError as error:
                raise _by_hand(path, error, f"take out the lines that name {model_name}") from error
    return _write(workdir, _changes(result))


def status(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> dict[str, State]:
    """Return for each patched file (path relative to `workdir`) how `model_name` is registered in it.

    ``applied`` means that `apply` would change nothing there, ``incomplete`` that there is something of ours but not
    all, or not as this template has it, ``missing`` that the file is not there, ``unreadable`` that `apply` would
    refuse it. The backbone file is reported only when `backbone_module` is given.
    """
    parts = _parts(workdir, model_name, backbone_module, backbone_names)
    return {
        part.path.relative_to(workdir).as_posix(): _state(part, model_name, backbone_module)
        for part in parts
        if backbone_module or part.relative != _BACKBONES_FILE
    }


def files(workdir: Path) -> list[Path]:
    """Return every file that `apply` and `unapply` may write, whether it is there or not."""
    return [path for path, _ in _candidates(workdir)]


def without(relative: str, content: bytes, model_name: str, backbone_module: str | None = None) -> bytes | None:
    """Return a patched file's `content` as it was before `model_name` was registered in it.

    Args:
        relative: The file's path inside its clone; other files than those we patch are returned as they are.
        content: The file.
        model_name: The model.
        backbone_module: Its file in ``backbone_v2/``, for an import that a person wrote.

    Returns:
        The content, or `None` when the whole file was ours.

    Raises:
        NotRecognisedError: The file has a form that cannot be edited safely.
    """
    if relative == "setup.py":
        tree = python_lists.Source(content).tree
        for script in filter(_is_script_of(model_name), _constants(tree)):
            content = python_lists.removed(content, console_scripts, script)
        if any(map(_is_script_of(model_name), _constants(python_lists.Source(content).tree))):
            raise NotRecognisedError("the console script is not in its list of console_scripts")
        return content
    if relative == _BACKBONES_FILE:
        return with_backbone(content, model_name, backbone_module, ())
    if relative in _EDITED_INI_FILES:
        return pytest_ini.removed(content, model_name, _MARKERS)
    return content


def only_ours(repo: Path, relative: str, models: Mapping[str, str]) -> bool:
    """Return whether a tracked file of a clone differs from its last commit by our patches alone.

    Args:
        repo: The clone.
        relative: The file's path inside it.
        models: The models of the working directory, with the names of their files in ``backbone_v2/``.
    """

    def digest(content: bytes) -> bytes:
        rest: bytes | None = content
        for model, module in models.items():
            if rest is not None:
                rest = without(relative, rest, model, module)
        return git.run("hash-object", "--path", relative, "--stdin", cwd=repo, stdin=rest or b"")

    try:
        committed, staged = (git.run("cat-file", "blob", f"{of}:{relative}", cwd=repo) for of in ("HEAD", ""))
        return digest(committed) == digest(staged) == digest((repo / relative).read_bytes())
    except (git.GitError, NotRecognisedError, OSError):
        return False


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
    """Return a ``setup.py`` with the console script ``name=package.cv.name.module:function`` in it, once.

    Raises:
        NotRecognisedError: Its list of console scripts cannot be edited safely.
        UserError: The name is taken by another console script.
    """
    name = script.partition("=")[0]
    is_ours = _is_script_of(name)
    tree = python_lists.Source(content).tree
    for text in _constants(tree):
        if _compact(text).startswith(f"{name}=") and ":" in text and not is_ours(text):
            raise UserError(f"The console script {name} is taken by {text!r}; choose another model_name.")
    same = [text for text in _constants(tree) if is_ours(text)]
    if [_compact(text) for text in same] == [script]:
        return content
    mine = [text for text in python_lists.strings(console_scripts(tree)) if is_ours(text)]
    if not mine:
        return python_lists.added(content, console_scripts, script)
    kept = next((text for text in mine if _compact(text) == script), mine[0])
    mine.remove(kept)
    for text in mine:
        content = python_lists.removed(content, console_scripts, text)
    return content if _compact(kept) == script else python_lists.replaced(content, console_scripts, kept, script)


def with_backbone(
    content: bytes, model: str, module: str | None, names: Sequence[str], defined: Collection[str] = ()
) -> bytes:
    """Return ``backbone_v2/__init__.py`` with `names` imported from `module` and listed in ``__all__``, once.

    Args:
        content: The file.
        model: The model.
        module: Its file in ``backbone_v2/``; other imports of the model go.
        names: What to import; nothing takes the model out.
        defined: What the file defines: of that, what is imported already stays.

    Raises:
        NotRecognisedError: It cannot be edited safely.
    """
    source = python_lists.Source(content)
    ours = _imports(source, model, module)
    imported = [alias.name for node in ours for alias in node.names]
    own = [name for name in imported if name in defined and name not in names] if names else []
    wanted = [*names, *dict.fromkeys(own)]
    there = [(alias.name, alias.asname, _backbone_file(node)) for node in ours for alias in node.names]
    if len(there) != len(wanted) or set(there) != {(name, None, module) for name in wanted}:
        content = _without_imports(source, model, ours)
        if wanted:
            content = _with_import(python_lists.Source(content), model, str(module), wanted)
    return _with_exported(content, model, module, wanted, {model, *imported}.difference(wanted))


def pytest_file(repo: Path) -> tuple[Path, str]:
    """Return the file that pytest takes its settings from in `repo`, and its section.

    A pytest.ini that is all ours counts only when there is nothing else.
    """
    for name, section in _INI_FILES:
        path = repo / name
        if not path.is_file():
            continue
        rest = _read(path) if name.endswith(".toml") else _parted(path)[1]
        if rest is not None and (name.endswith("pytest.ini") or _has_section(rest, section)):
            return path, section
    return repo / "pytest.ini", "pytest"


_EDITED_INI_FILES = tuple(name for name, _ in _INI_FILES if not name.endswith(".toml"))


def _candidates(workdir: Path) -> list[tuple[Path, str]]:
    """Return the files that we may write, with their paths inside their clones."""
    names = [(repo, name) for repo in _PACKAGES for name in ("setup.py", *_EDITED_INI_FILES)]
    return [(workdir / repo / name, name) for repo, name in [*names, ("tao-pytorch", _BACKBONES_FILE)]]


def _parts(workdir: Path, model: str, backbone_module: str | None, backbone_names: Sequence[str]) -> Iterator[_Part]:
    for repo, package in _PACKAGES.items():
        script = f"{model}={package}.cv.{model}.entrypoint.{model}:main"
        setup = workdir / repo / "setup.py"
        yield _Part(
            setup,
            "setup.py",
            f"add {script!r} to the list of console_scripts",
            partial(_script_edits, setup, script),
        )
        yield _ini_part(workdir / repo, model)
    init = workdir / "tao-pytorch" / _BACKBONES_FILE
    if backbone_module:
        names = ", ".join(backbone_names)
        line = f"from {_BACKBONES}.{backbone_module} import {names}"
        hint = f"add the line {line!r} and list {names} in __all__"
        defined = _defined(init.with_name(f"{backbone_module}.py"))
        edit = partial(with_backbone, model=model, module=backbone_module, names=backbone_names, defined=defined)
    elif init.is_file():
        hint = f"take out the lines that name {model}"
        edit = partial(with_backbone, model=model, module=None, names=())
    else:
        return
    yield _Part(init, _BACKBONES_FILE, hint, lambda: {init: edit(_read(init))})


def _script_edits(setup: Path, script: str) -> Edits:
    return {setup: with_script(_read(setup), script)}


def _ini_part(repo: Path, model: str) -> _Part:
    lines = pytest_ini.wanted(model, _MARKERS)

    def compute() -> Edits:
        ini, section = pytest_file(repo)
        result: Edits = {}
        wanted = dict(lines)
        for name in _EDITED_INI_FILES:
            if repo / name != ini and (repo / name).is_file():
                held, result[repo / name] = _parted(repo / name)
                wanted = {**held, **wanted}
        if ini.suffix == ".toml":
            _require_toml_markers(ini, section, wanted)
        else:
            before = _read(ini) if ini.exists() else pytest_ini.skeleton(["tests"])
            result[ini] = pytest_ini.added(before, section, wanted, _MARKERS)
        return result

    try:
        ini, section = pytest_file(repo)
    except (NotRecognisedError, UserError):  # `compute` will say it
        ini, section = repo / "pytest.ini", "pytest"
    return _Part(ini, ini.name, _declare(section, lines), compute)


def _parted(path: Path) -> tuple[dict[str, str], bytes | None]:
    """Return the markers in an ini file that are ours, and the file without anything of ours (see `pytest_ini`)."""
    content = _read(path)
    try:
        return pytest_ini.held(content, _MARKERS), pytest_ini.bare(content, _MARKERS)
    except NotRecognisedError as error:
        raise NotRecognisedError(f"{error} in {path.name}") from error


def _has_section(content: bytes, section: str) -> bool:
    return re.search(rb"^\[%s\]" % re.escape(section.encode()), content, re.MULTILINE) is not None


def _require_toml_markers(path: Path, section: str, lines: Mapping[str, str]) -> None:
    """Accept a pyproject.toml whose pytest section declares the markers already; we do not edit TOML."""
    text = path.read_text("utf-8")
    if not all(re.search(rf"[\"']{name}\s*[:(\"']", text) for name in lines):
        raise _by_hand(path, "it is TOML, which the template does not edit", _declare(section, lines))


def _declare(section: str, lines: Mapping[str, str]) -> str:
    return f"declare these markers in its [{section}] section: {'; '.join(lines.values())}"


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


def _constants(node: ast.AST) -> list[str]:
    """Return the strings in a piece of source."""
    return [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _compact(text: str) -> str:
    return "".join(text.split())


def _is_script_of(model: str) -> Callable[[str], bool]:
    """Return what tells whether a console script is ours: it bears the model's name and points into its package."""
    pattern = re.compile(rf"{model}=({'|'.join(_PACKAGES.values())})\.cv\.{model}(\.\w+)*:[\w.]+")
    return lambda text: pattern.fullmatch(_compact(text)) is not None


def _comment(model: str, module: str) -> str:
    """Return the row above our import in ``backbone_v2/__init__.py``: by it later templates know the file's name."""
    return f"# tao-hf-template: backbone {module} of {model}"


def _imports(source: python_lists.Source, model: str, module: str | None) -> list[ast.ImportFrom]:
    """Return the imports of a model's backbone: from `module`, and from the files of other templates."""
    modules = {module, f"hf_{model}", *re.findall(_comment(model, r"(\w+)") + r"\s", source.text)}
    return [
        node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) and _backbone_file(node) in modules
    ]


def _backbone_file(node: ast.ImportFrom) -> str:
    """Return the name of the file in ``backbone_v2/`` that a statement imports from, nothing for other statements."""
    package, _, name = (node.module or "").rpartition(".")
    return name if (package, node.level) in ((_BACKBONES, 0), ("", 1)) else ""


def _names(statements: Sequence[ast.stmt]) -> set[str]:
    """Return the names that statements bind."""
    names: set[str] = set()
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


def _defined(path: Path) -> set[str]:
    """Return the names that a Python file defines; none when it cannot be read."""
    try:
        return _names(python_lists.Source(path.read_bytes()).tree.body)
    except (OSError, NotRecognisedError):
        return set()


def _with_import(source: python_lists.Source, model: str, module: str, names: Sequence[str]) -> bytes:
    imports = [node for node in source.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not imports:
        raise NotRecognisedError("it has no import to put ours after")
    place = source.line_end(source.span(imports[-1])[1])
    newline = source.newline()
    rows = [_comment(model, module), f"from {_BACKBONES}.{module} import (", *(f"    {name}," for name in names), ")"]
    before = source.text[:place]
    addition = "".join(row + newline for row in rows) if before.endswith(("\n", "\r")) else newline + newline.join(rows)
    body = list(source.tree.body)
    body.insert(body.index(imports[-1]) + 1, ast.parse("\n".join(rows)).body[0])
    return _with_body(source, before + addition + source.text[place:], body)


def _without_imports(source: python_lists.Source, model: str, imports: Sequence[ast.ImportFrom]) -> bytes:
    """Return the file without `imports`, and without our comments."""
    text = source.text
    comment = re.compile(_comment(model, r"\w+"))
    rows = [(start, source.line_end(start)) for start in source.starts]
    cuts = [(start, stop) for start, stop in rows if comment.fullmatch(text[start:stop].strip())]
    for node in imports:
        start, end = source.span(node)
        stop = source.line_end(end)
        if node not in source.tree.body or source.line_start(start) != start:
            raise NotRecognisedError(f"the import of {_backbone_file(node)} is inside other code")
        if re.sub("#.*", "", text[end:stop]).strip():
            raise NotRecognisedError(f"the import of {_backbone_file(node)} shares its line with other code")
        cuts.append((start, stop))
    kept = text
    for start, stop in sorted(cuts, reverse=True):
        kept = kept[:start] + kept[stop:]
    if kept != text and not text.endswith(("\n", "\r")) and max(cuts)[1] == len(text):
        kept = kept.removesuffix(source.newline())
    return _with_body(source, kept, [node for node in source.tree.body if node not in imports])


def _with_body(source: python_lists.Source, text: str, body: Sequence[ast.stmt]) -> bytes:
    """Return `text` as a file, after proving that it consists of the statements `body`."""
    try:
        result = python_lists.Source(text.encode(source.encoding))
    except (NotRecognisedError, UnicodeEncodeError) as error:
        raise NotRecognisedError("its imports cannot be edited safely") from error
    if list(map(ast.dump, result.tree.body)) != list(map(ast.dump, body)):
        raise NotRecognisedError("its imports cannot be edited safely")
    return result.encode()


def _with_exported(content: bytes, model: str, module: str | None, wanted: Sequence[str], gone: set[str]) -> bytes:
    """Return the file with each name in `wanted` once in ``__all__``, and those in `gone` no more."""
    source = python_lists.Source(content)
    ours = _imports(source, model, module)
    others = _names([node for node in source.tree.body if node not in ours])
    statements = _assigns(source.tree, "__all__")
    listed = [text for node in statements for text in _constants(node)]
    for name in sorted({*gone, *wanted} - others):
        for _ in range(listed.count(name) - (name in wanted)):
            content = python_lists.removed(content, exported, name)
    for name in wanted if statements else ():
        if name not in listed:
            content = python_lists.added(content, exported, name)
    return content


def _state(part: _Part, model: str, backbone_module: str | None) -> State:
    if not part.path.is_file():
        return "missing"
    try:
        if not _changes(part.edits()):
            return "applied"
        content = _read(part.path)
        is_bare = without(part.relative, content, model, backbone_module) == content
        return "absent" if is_bare else "incomplete"
    except (NotRecognisedError, UserError):
        return "unreadable"


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); is its clone complete?") from error
    if merge.has_conflicts(content):
        raise UserError(f"{path} holds the conflict blocks of a merge; resolve them, then run this again.")
    return content


def _by_hand(path: Path, error: NotRecognisedError | str, what: str) -> UserError:
    return UserError(f"{path} was left as it is, because {error}; please {what} by hand, then run this again.")


def _changes(edits: Edits) -> Edits:
    """Return the edits that change something."""
    return {
        path: content for path, content in edits.items() if content != (path.read_bytes() if path.exists() else None)
    }


def _write(workdir: Path, edits: Edits) -> list[str]:
    """Write the edits and return their paths."""
    try:
        atomic.write_all(edits)
    except OSError as error:
        names = ", ".join(map(str, edits))
        raise UserError(f"{names} could not be written ({error.strerror or error}); nothing was changed.") from error
    return [path.relative_to(workdir).as_posix() for path in edits]
