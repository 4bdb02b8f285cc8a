"""The four TAO repositories: what they are called, how one is recognised on disk, and which version it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from tao_hf.base import git
from tao_hf.base.errors import UserError


class Repo(NamedTuple):
    """A repository: its folder in the working directory, public address, package, and wheel on PyPI."""

    name: str
    url: str
    package: str
    wheel: str | None
    required: bool


REPOS = (
    Repo("tao-core", "https://github.com/NVIDIA-TAO/tao-core", "nvidia_tao_core", "nvidia-tao-core", True),
    Repo("tao-pytorch", "https://github.com/NVIDIA-TAO/tao-pytorch", "nvidia_tao_pytorch", None, True),
    Repo(
        "tao-deploy",
        "https://github.com/NVIDIA-TAO/tao-deploy",
        "nvidia_tao_deploy",
        "nvidia-tao-deploy",
        True,
    ),
    Repo("tao-dataservices", "https://github.com/NVIDIA-TAO/tao-data-services", "nvidia_tao_ds", None, False),
)


def find(workdir: Path, repo: Repo) -> Path | None:
    """Return the person's own clone of `repo` in `workdir` (a link to one will do), or `None`.

    An empty folder counts as no clone.

    Raises:
        UserError: Something else is in its place.
    """
    path = workdir / repo.name
    if not path.exists():
        if path.is_symlink():
            raise UserError(f"{path} is a link to {path.readlink()}, which is not there; repair or remove the link.")
        return None
    if not path.is_dir():
        raise UserError(f"{path} is a file where a clone of {repo.name} belongs; move it away.")
    if git.is_clone(path):
        if not (path / repo.package).is_dir():
            raise UserError(
                f"{path} is a git clone but has no {repo.package}/, so it is not {repo.name}; move it away."
            )
        return path
    if any(path.iterdir()):
        raise UserError(
            f"{path} is no git clone of {repo.name}, so your changes could not be told from ours; put a git clone "
            "there, or move it away and the template gets one."
        )
    return None


def version(path: Path, repo: Repo) -> str:
    """Return the version of the sources in `path`, without importing or running anything of them.

    A release tag on the checked-out commit counts first (the version files lag behind the tags), then
    ``release/python/version.py``, ``<package>/version.py`` and ``setup.py``; ``unknown`` when none says.
    """
    try:
        for tag in git.text("tag", "--points-at", "HEAD", cwd=path).split():
            if re.fullmatch(r"v?\d+(\.\d+)+\w*", tag):
                return tag.removeprefix("v")
    except git.GitError:
        pass
    for relative in ("release/python/version.py", f"{repo.package}/version.py", "setup.py"):
        try:
            tree = ast.parse((path / relative).read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        found = _version_in(tree)
        if found:
            return found
    return "unknown"


def commit(path: Path) -> str | None:
    """Return the checked-out commit of a clone; `None` when it has none yet."""
    try:
        return git.text("rev-parse", "--verify", "HEAD", cwd=path)
    except git.GitError:
        return None


def _version_in(tree: ast.Module) -> str | None:
    values: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, str(node.value.value))
        elif isinstance(node, ast.keyword) and node.arg == "version" and isinstance(node.value, ast.Constant):
            values.setdefault("__version__", str(node.value.value))
    if "__version__" in values:
        return values["__version__"]
    parts = [values.get(name) for name in ("MAJOR", "MINOR", "PATCH")]
    if all(part is not None for part in parts):
        return ".".join(part for part in parts if part is not None) + values.get("PRE_RELEASE", "")
    return None
