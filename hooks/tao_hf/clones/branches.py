"""One local branch of the same name in every repository, made without losing a change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tao_hf.base import git
from tao_hf.base.errors import UserError
from tao_hf.clones import patches, repos
from tao_hf.clones.repos import REPOS
from tao_hf.workdir import records

_FETCH_SECONDS = 15
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


class _Switch(NamedTuple):
    """What a clone needs to get onto the wanted branch.

    Attributes:
        path: The clone.
        current: The branch that it is on, `None` for a detached head.
        commit: The commit that it is on.
        exists: Whether it has the wanted branch.
        start: The revision that a new branch starts from; empty for where the clone stands.
    """

    path: Path
    current: str | None
    commit: str
    exists: bool
    start: str


def check(workdir: Path, branch: str, base: str) -> None:
    """Refuse, before anything is written, what `create` could not do in the clones that are in `workdir`.

    Args:
        workdir: The working directory; repositories that are not there yet are no concern.
        branch: Name of the local branch to work on.
        base: Branch to start from; empty: from where each clone stands. A clone standing on a release tag,
            and on no branch, starts from that tag.

    Raises:
        UserError: The name is none that git takes, or a clone is read-only, in the middle of a merge or
            rebase, has uncommitted changes in the way of a switch, or has no such base.
    """
    _check_name(branch)
    found = [(repo, repos.find(workdir, repo)) for repo in REPOS]
    for repo, path in found:
        if path is not None:
            _check_writable(path, repo.package)
            _switch(workdir, path, branch, base)


def create(workdir: Path, names: Iterable[str], branch: str, base: str) -> list[str]:
    """Put the repositories `names` on the local branch `branch`, all of them or none.

    A clone that is on it stays as it is. A new branch starts at `base`, which is first brought forward from
    its upstream when the clone stands on it with no change in it (and only fast-forward; offline it stays as
    it is).

    Args:
        workdir: The working directory.
        names: Repository folders, such as ``tao-core``.
        branch: The local branch.
        base: As for `check`.

    Returns:
        Notes for the person, one sentence each.

    Raises:
        UserError: As for `check`, or git refuses; every clone is then on the branch it was on.
    """
    _check_name(branch)
    notes: list[str] = []
    switches = [_switch(workdir, workdir / name, branch, base) for name in names]
    done: list[_Switch] = []
    for switch in switches:
        if switch.current == branch:
            continue
        try:
            if switch.exists:
                git.run("switch", "--quiet", "--no-guess", branch, cwd=switch.path)
            else:
                notes += _bring_forward(switch, base)
                start = [switch.start] if switch.start else []
                git.run("switch", "--quiet", "--no-track", "--create", branch, *start, cwd=switch.path)
        except git.GitError as error:
            for earlier in reversed(done):
                _go_back(earlier, branch)
            raise UserError(
                f"git could not switch {switch.path.name} to {branch} ({error.reason}); all clones are on the "
                "branches they were on."
            ) from error
        done.append(switch)
    return notes


def check_finished(path: Path) -> None:
    """Refuse a clone that is in the middle of a merge, a rebase or the like."""
    git_dir = Path(git.text("rev-parse", "--absolute-git-dir", cwd=path))
    for name, what in _UNFINISHED.items():
        if (git_dir / name).exists():
            raise UserError(f"{path} is in the middle of a {what}; finish or abort it, then run this again.")


def current(path: Path) -> str | None:
    """Return the branch that a clone is on, `None` when it is on none."""
    try:
        return git.text("symbolic-ref", "--quiet", "--short", "HEAD", cwd=path)
    except git.GitError:
        return None


def default_branch(workdir: Path, model_name: str) -> str:
    """Return the branch recorded for the model, else for the newest model of `workdir`, else a new name."""
    found = list(workdir.glob(".tao-hf/*/answers.yml"))
    for record in sorted(
        found, key=lambda path: (path.parent.name == model_name, path.stat().st_mtime), reverse=True
    ):
        name = records.scalar(record, "branch_name")
        if name:
            return name
    return f"feature/add-{model_name.replace('_', '-')}"


def _check_name(branch: str) -> None:
    valid = not branch.startswith("-") and branch not in ("HEAD", "@") and "\0" not in branch
    if not (valid and branch and git.succeeds("check-ref-format", f"refs/heads/{branch}")):
        raise UserError(f"branch_name {branch!r} is no name that git takes for a branch; try feature/add-my-model.")


def _check_writable(path: Path, package: str) -> None:
    """Refuse a clone whose folders deny writing (root, who could write all the same, respects that too)."""
    for folder in (path, path / ".git", path / package):
        if folder.is_dir() and not (os.access(folder, os.W_OK) and folder.stat().st_mode & 0o222):
            raise UserError(f"{folder} is read-only, so nothing can be added there; make it writable (chmod -R u+w).")


def _switch(workdir: Path, path: Path, branch: str, base: str) -> _Switch:
    """Return what `path` needs to get onto `branch`.

    Raises:
        UserError: It cannot get there.
    """
    commit = repos.commit(path)
    if commit is None:
        raise UserError(f"{path} has no commit yet, so it is no usable clone; commit something or clone it anew.")
    here = current(path)
    exists = git.succeeds("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", cwd=path)
    if here == branch:
        return _Switch(path, here, commit, exists, "")
    check_finished(path)
    _check_clean(workdir, path, branch)
    if exists:
        if here is None and not git.run("for-each-ref", "--contains", commit, "--count=1", cwd=path):
            raise UserError(
                f"{path} stands on commits that no branch holds; give them a branch (git branch NAME) first."
            )
        return _Switch(path, here, commit, True, "")
    _check_prefix(path, branch)
    return _Switch(path, here, commit, False, _start(path, here, base))


def _start(path: Path, here: str | None, base: str) -> str:
    """Return the revision a new branch starts from; empty for where the clone stands."""
    if not base or here == base:
        return ""
    on_tag = here is None and bool(git.text("tag", "--points-at", "HEAD", cwd=path))
    loose = here is None and not git.run("for-each-ref", "--contains", "HEAD", "--count=1", cwd=path)
    if on_tag or loose:
        return ""
    for ref in (f"refs/heads/{base}", f"refs/remotes/origin/{base}", f"refs/tags/{base}"):
        if git.succeeds("rev-parse", "--verify", "--quiet", ref + "^{commit}", cwd=path):
            return ref.removeprefix("refs/heads/")
    listed = git.text("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/remotes/origin", cwd=path)
    names = sorted({name.removeprefix("origin/") for name in listed.splitlines()} - {"HEAD"})
    raise UserError(f"{path} has no branch {base}; base_branch can be one of {', '.join(names[:8])}.")


def _changed(path: Path) -> list[str]:
    """Return the tracked files of a clone that differ from its last commit."""
    status = git.run("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", cwd=path, timeout=300)
    rows = status.decode("utf-8", "surrogateescape").split("\0")
    return [row[3:] for row in rows if row]


def _check_clean(workdir: Path, path: Path, branch: str) -> None:
    modules = _own_modules(workdir)
    files = [file for file in _changed(path) if not patches.only_ours(path, file, modules)]
    if files:
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        raise UserError(
            f"{path} has uncommitted changes ({shown}), and the work is to go to the branch {branch}; commit "
            "or stash them, or choose the branch you are on as branch_name."
        )


def _check_prefix(path: Path, branch: str) -> None:
    """Refuse a name that git cannot store beside an existing branch: ``a`` and ``a/b`` exclude each other."""
    for other in git.text("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", cwd=path).splitlines():
        if branch.startswith(other + "/") or other.startswith(branch + "/"):
            raise UserError(f"{path} has a branch {other}, beside which git cannot have {branch}; choose another name.")


def _own_modules(workdir: Path) -> dict[str, str]:
    """Return the models of this working directory with their backbone modules."""
    modules = {}
    for record in workdir.glob(".tao-hf/*/model.json"):
        try:
            backbone = json.loads(record.read_text(encoding="utf-8")).get("backbone") or {}
            modules[record.parent.name] = backbone.get("module") or record.parent.name
        except (OSError, ValueError, AttributeError):
            modules[record.parent.name] = record.parent.name
    return modules


def _bring_forward(switch: _Switch, base: str) -> list[str]:
    """Fast-forward the base branch the clone stands on from its upstream, when nothing can be lost by it."""
    path = switch.path
    if switch.current is None or (base and switch.current != base) or _changed(path):
        return []
    if not git.succeeds("rev-parse", "--verify", "--quiet", "@{upstream}", cwd=path):
        return []
    try:
        git.run("fetch", "--quiet", "--no-recurse-submodules", cwd=path, timeout=_FETCH_SECONDS)
        git.run("merge", "--quiet", "--ff-only", "@{upstream}", cwd=path, timeout=None)
    except git.GitError as error:
        return [f"{path.name}: {switch.current} could not be brought up to date ({error.reason}); it is used as is."]
    return []


def _go_back(switch: _Switch, branch: str) -> None:
    """Put a clone back where it was and remove the branch again if it was new; git's own checks stay on."""
    try:
        target = [switch.current] if switch.current else ["--detach", switch.commit]
        git.run("switch", "--quiet", "--no-guess", *target, cwd=switch.path)
        if not switch.exists:
            git.run("branch", "--quiet", "-D", branch, cwd=switch.path)
    except git.GitError as error:
        raise UserError(
            f"{switch.path.name} could not be put back from {branch} ({error.reason}); please look at it."
        ) from error
