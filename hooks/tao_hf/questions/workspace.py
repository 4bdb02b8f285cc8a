"""The TAO repositories: where they come from, what is in them, on which branch the work goes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tao_hf.base import git
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import say
from tao_hf.clones import branches, sources, survey
from tao_hf.rendering import tasks
from tao_hf.workdir import records


def explore_workspace(
    dst_path: Any, tao_version: str, tao_source: str, base_branch: str, findings: Mapping[str, Any]
) -> dict[str, Any]:
    """Find or fetch the TAO repositories, read what is in them, and show both.

    Returns:
        ``repos`` (where each repository comes from) and ``reference_model`` (TAO's own model for the task).
    """
    workdir = Path(str(dst_path)).absolute()
    recorded = records.repositories(workdir)
    resolved = {
        name: recorded[name] if _still_the_same(workdir / name, recorded.get(name)) else repo
        for name, repo in sources.resolve(workdir, tao_version, tao_source, base_branch).items()
    }
    say(sources.describe(resolved))
    found = explored(workdir, resolved, findings["task_type"])
    say(survey.render(found))
    return {"repos": resolved, "reference_model": found["reference"]["model"]}


def default_branch(dst_path: Any, model_name: str) -> str:
    """Return the branch of an earlier model in the working directory, or one named after the model."""
    return branches.default_branch(Path(str(dst_path)).absolute(), model_name)


def explored(workdir: Path, repos: Mapping[str, Mapping[str, Any]], task_type: str) -> dict[str, Any]:
    """Return what the repositories hold: those of the working directory, else where they wait to be put there."""
    return _explore_once(tuple(places(workdir, repos).items()), task_type, workdir)


def places(workdir: Path, repos: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Return where each repository can be read now."""
    return {name: workdir / name if (workdir / name).exists() else Path(repo["path"]) for name, repo in repos.items()}


@cache
def _explore_once(paths: tuple[tuple[str, Path], ...], task_type: str, workdir: Path) -> dict[str, Any]:
    """Read the repositories once per run: the prompt checks a model name after every key."""
    return survey.explore(dict(paths), tasks.task(TEMPLATE, task_type)["reference"], workdir)


def _still_the_same(path: Path, recorded: Mapping[str, Any] | None) -> bool:
    """Tell whether the repository at `path` is the one that was put there earlier, whatever was committed since."""
    commit = recorded and recorded["commit"]
    return bool(commit) and path.exists() and git.succeeds("cat-file", "-e", f"{commit}^{{commit}}", cwd=path)
