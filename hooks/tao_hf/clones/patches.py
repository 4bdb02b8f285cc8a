"""Registers a generated model in TAO's own files, and takes it out again, as small exact text edits.

The files are ``setup.py`` (console script) and ``backbone_v2/__init__.py`` (import and ``__all__``). The place is found
with the standard library's ``ast`` and ``tokenize``, not libcst: hooks may use only what Copier depends on, and
``./tao-hf`` runs without even that.

What another version of the template has put there is known by its form, whatever it says: a console script that
points into the model's own package, an import below our comment or from our file, marker lines with our checksums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tao_hf.base import atomic, git
from tao_hf.base.errors import UserError
from tao_hf.clones import backbone_imports, console_scripts, pytest_ini
from tao_hf.clones.python_lists import NotRecognisedError
from tao_hf.workdir import merge

Edits = dict[Path, "bytes | None"]


class _Part(NamedTuple):
    """One of the files that a model is registered in.

    Attributes:
        path: The file.
        edit: Returns what it has to become.
        by_hand: What a person can do where we cannot.
    """

    path: Path
    edit: Callable[[bytes], bytes | None]
    by_hand: str


def apply(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> list[str]:
    """Register `model_name` in the clones of `workdir`, as `edits` computes it.

    Returns:
        The changed or deleted files, relative to `workdir`. All are written or none is.

    Raises:
        UserError: As for `edits`, or a file cannot be written; nothing is changed then.
    """
    return _write(workdir, edits(workdir, model_name, backbone_module, backbone_names))


def edits(
    workdir: Path, model_name: str, backbone_module: str | None = None, backbone_names: Sequence[str] = ()
) -> Edits:
    """Return what has to be written to register `model_name` in the clones of `workdir`, each time exactly once.

    What is registered already stays as it is; what another version of the template registered is brought up to date.

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
    return _edited(_parts(workdir, model_name, backbone_module, backbone_names))


def unapply(workdir: Path, model_name: str, backbone_module: str | None = None) -> list[str]:
    """Take out again what `apply`, of whichever version, put in.

    Args:
        workdir: The working directory.
        model_name: The model.
        backbone_module: Its file in ``backbone_v2/``, for an import that a person wrote.

    Returns:
        The changed or deleted files, relative to `workdir`.

    Raises:
        UserError: A file cannot be written or edited safely; nothing is changed then.
    """
    parts = (
        _Part(
            path,
            partial(without, relative, model_name=model_name, backbone_module=backbone_module),
            f"take out the lines that name {model_name}",
        )
        for path, relative in _candidates(workdir)
        if path.is_file()
    )
    return _write(workdir, _edited(parts))


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
        return console_scripts.without_script(content, model_name)
    if relative == backbone_imports.FILE:
        return backbone_imports.with_backbone(content, model_name, backbone_module, ())
    if relative in pytest_ini.FILES:
        return pytest_ini.without(content, model_name)
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

    path = repo / relative
    try:
        committed, staged = (git.run("cat-file", "blob", f"{of}:{relative}", cwd=repo) for of in ("HEAD", ""))
        return digest(committed) == digest(staged) == digest(path.read_bytes() if path.exists() else b"")
    except (git.GitError, NotRecognisedError, OSError):
        return False


def _candidates(workdir: Path) -> list[tuple[Path, str]]:
    """Return the files that we may write, with their paths inside their clones."""
    names = [(repo, name) for repo in console_scripts.PACKAGES for name in ("setup.py", *pytest_ini.FILES)]
    return [(workdir / repo / name, name) for repo, name in [*names, ("tao-pytorch", backbone_imports.FILE)]]


def _parts(workdir: Path, model: str, backbone_module: str | None, backbone_names: Sequence[str]) -> Iterator[_Part]:
    take_out = f"take out the lines that name {model}"
    for repo, package in console_scripts.PACKAGES.items():
        script = f"{model}={package}.cv.{model}.entrypoint.{model}:main"
        yield _Part(
            workdir / repo / "setup.py",
            partial(console_scripts.with_script, script=script),
            f"add {script!r} to the list of console_scripts",
        )
        for path in (workdir / repo / name for name in pytest_ini.FILES):
            if path.is_file():
                yield _Part(path, partial(pytest_ini.without, model=model), take_out)
    init = workdir / "tao-pytorch" / backbone_imports.FILE
    if backbone_module:
        names = ", ".join(backbone_names)
        line = f"from {backbone_imports.PACKAGE}.{backbone_module} import {names}"
        edit = partial(
            backbone_imports.with_backbone,
            model=model,
            module=backbone_module,
            names=backbone_names,
            defined=backbone_imports.definitions(init.with_name(f"{backbone_module}.py")),
        )
        yield _Part(init, edit, f"add the line {line!r} and list {names} in __all__")
    elif init.is_file():
        yield _Part(init, partial(backbone_imports.with_backbone, model=model, module=None, names=()), take_out)


def _edited(parts: Iterator[_Part]) -> Edits:
    """Return what has to be written, for the files that have to change.

    Raises:
        UserError: A file is missing, or has a form that cannot be edited safely.
    """
    result: Edits = {}
    for path, edit, by_hand in parts:
        before = _read(path)
        try:
            after = edit(before)
        except NotRecognisedError as error:
            raise UserError(
                f"{path} was left as it is, because {error}; please {by_hand} by hand, then run this again."
            ) from error
        if after != before:
            result[path] = after
    return result


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); is its clone complete?") from error
    if merge.has_conflicts(content):
        raise UserError(f"{path} holds the conflict blocks of a merge; resolve them, then run this again.")
    return content


def _write(workdir: Path, edits: Edits) -> list[str]:
    """Write the edits and return their paths."""
    try:
        atomic.write_all(edits)
    except OSError as error:
        names = ", ".join(map(str, edits))
        raise UserError(f"{names} could not be written ({error.strerror or error}); nothing was changed.") from error
    return [path.relative_to(workdir).as_posix() for path in edits]
