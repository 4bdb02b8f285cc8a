"""Decides where each TAO repository comes from (there, cloned, embedded), says so, and lays it out.

`resolve` runs while the questions are asked and writes only into the cache; `lay_out` runs after rendering and copies
the cached repository into the working directory. Nothing here, or below, writes to a remote.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tao_hf.base import atomic, git
from tao_hf.base.cache import cache_dir
from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity
from tao_hf.clones import embedded, repos
from tao_hf.clones.repos import REPOS, Repo

LOOK_UP_SECONDS = 10
_CLONE_SECONDS = 1800


class _NoCloneError(Exception):
    """No clone can be had; the text says why."""


def resolve(workdir: Path, tao_version: str, tao_source: str, base_branch: str) -> dict[str, dict[str, Any]]:
    """Find or fetch every repository, writing only into the cache.

    Args:
        workdir: The working directory (it need not exist).
        tao_version: Release for repositories that are not there: the tag to clone, the version of the wheels.
        tao_source: ``auto`` (clone, else embedded), ``clone`` (never embedded) or ``embedded`` (never
            clones).
        base_branch: Branch the work starts from. A clone is checked out there, unless it is empty or the
            remote's default branch, where the tag of `tao_version` is better.

    Returns:
        By repository name: ``source`` (``present``, ``clone`` or ``embedded``), ``version``, ``path`` (where
        it can be read now), ``commit`` and ``reason`` (why it is not a better source; for people).
        tao-dataservices is left out when it is not there and cannot be cloned.

    Raises:
        UserError: A required repository cannot be had from the allowed sources, or something is in its place.
    """
    if tao_source not in ("auto", "clone", "embedded"):
        raise UserError(f"tao_source is {tao_source!r}; it must be auto, clone or embedded.")
    found = {repo.name: repos.find(workdir, repo) for repo in REPOS}
    result: dict[str, dict[str, Any]] = {}
    for repo in REPOS:
        path = found[repo.name]
        if path is not None:
            result[repo.name] = _entry(repo, "present", path, "")
            continue
        reason = "tao_source=embedded"
        if tao_source != "embedded":
            try:
                clone = _cloned(repo, tao_version, base_branch)
                result[repo.name] = _entry(repo, "clone", clone, "")
                continue
            except _NoCloneError as error:
                reason = str(error)
        if not repo.required:
            continue
        if tao_source == "clone":
            raise UserError(
                f"{repo.name} cannot be cloned from {repo.url} ({reason}); put your own clone at "
                f"{workdir / repo.name}, or choose tao_source=auto."
            )
        result[repo.name] = _entry(repo, "embedded", _laid_out(repo, tao_version), reason)
    return result


def describe(resolved: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one line per repository saying where it comes from."""
    lines = []
    for repo in REPOS:
        entry = resolved.get(repo.name)
        if entry is None:
            text = "not used (optional; no clone in the working directory, and none could be had)"
        elif entry["source"] == "present":
            text = f"your own clone {entry['path']}, version {entry['version']}"
        elif entry["source"] == "clone":
            text = f"cloned from {repo.url}, version {entry['version']}"
        else:
            what = (
                f"the {repo.wheel} {entry['version']} wheel from PyPI"
                if repo.wheel
                else "the template's stand-in (base classes only)"
            )
            text = f"embedded: {what}, because {_because(entry['reason'])}"
        lines.append(f"  {repo.name:<17} {text}")
    return "\n".join(lines)


def collisions(resolved: Mapping[str, Mapping[str, Any]], files: Iterable[str]) -> list[str]:
    """Return those of `files` (relative to the working directory) that a repository tracks already."""
    taken = []
    for name, entry in resolved.items():
        inside = [file.removeprefix(name + "/") for file in files if file.startswith(name + "/")]
        tracked = set(_tracked(Path(entry["path"]))) if inside else set()
        taken += [f"{name}/{file}" for file in inside if file in tracked]
    return taken


def lay_out(workdir: Path, resolved: Mapping[str, Mapping[str, Any]], base_branch: str = "") -> None:
    """Put cloned and embedded repositories into `workdir`.

    A repository is laid out as a whole or not at all, and one that is there already stays as it is.

    Args:
        workdir: The working directory.
        resolved: What `resolve` returned.
        base_branch: Name for the branch of an embedded repository (``main`` when empty).

    Raises:
        UserError: Something else is in the place of a repository, or the disk does not let us.
    """
    for stale in workdir.glob(atomic.SCRATCH + "*"):  # of a run that was killed
        shutil.rmtree(stale, ignore_errors=True)
    waiting = []
    for repo in REPOS:
        entry = resolved.get(repo.name)
        if entry is None or entry["source"] == "present" or repos.find(workdir, repo):
            continue
        origin = Path(entry["path"])
        if not (origin / ".git").is_dir():
            raise UserError(f"{origin} was removed from the cache meanwhile; run the template again.")
        waiting.append((repo, entry, origin))
    for repo, entry, origin in waiting:
        try:
            _place(workdir, repo, origin, base_branch if entry["source"] == "embedded" else "")
        except (OSError, shutil.Error, git.GitError) as error:
            raise UserError(
                f"{repo.name} could not be put into {workdir} ({error}); nothing of it was left there."
            ) from error


def _entry(repo: Repo, source: str, path: Path, reason: str) -> dict[str, Any]:
    return {
        "source": source,
        "version": repos.version(path, repo),
        "path": str(path),
        "commit": repos.commit(path),
        "reason": reason,
    }


def _because(reason: str) -> str:
    return "tao_source=embedded was chosen" if reason == "tao_source=embedded" else f"it could not be cloned: {reason}"


def _laid_out(repo: Repo, tao_version: str) -> Path:
    """Return the embedded repository in the cache, laying it out when it is not there yet."""
    try:
        return _cached(embedded.cache_name(repo, tao_version), repo, lambda to: embedded.lay_out(repo, tao_version, to))
    except git.GitError as error:
        raise UserError(f"{repo.name} could not be laid out as a git repository ({error.reason}).") from error


def _cloned(repo: Repo, tao_version: str, base_branch: str) -> Path:
    """Return a pristine clone in the cache, cloning when there is none yet."""
    folder = cache_dir("sources")
    by_tag = folder / f"{repo.name}-{tao_version}"
    if base_branch in ("", "main", "master") and _usable(by_tag, repo):  # then the remote need not be asked
        return by_tag
    refs, default = _remote(repo.url)
    tag = next((tag for tag in (tao_version, f"v{tao_version}") if f"refs/tags/{tag}" in refs), None)
    if base_branch in ("", default) and tag:
        name, ref = by_tag.name, tag
    else:
        ref = base_branch or default
        head = refs.get(f"refs/heads/{ref}")
        if head is None:
            branches = ", ".join(sorted(name[11:] for name in refs if name.startswith("refs/heads/"))[:8])
            raise UserError(f"{repo.url} has no branch {ref}; base_branch can be one of {branches}.")
        name = f"{repo.name}-{ref.replace('/', '-')}-{head[:12]}"

    def clone(folder: Path) -> None:
        slow = ("http.lowSpeedLimit=1000", "http.lowSpeedTime=30", "advice.detachedHead=false")
        options = ("--quiet", "--no-recurse-submodules", "--branch", ref)
        with activity(f"Cloning {repo.name} ({ref})"):
            git.run(
                "clone", *options, repo.url, str(folder),
                timeout=_CLONE_SECONDS, env={"GIT_LFS_SKIP_SMUDGE": "1"}, settings=slow,
            )  # fmt: skip

    try:
        return _cached(name, repo, clone)
    except git.GitError as error:
        raise _NoCloneError(f"the clone broke off: {error.reason}") from error


@cache
def _look_up(url: str) -> tuple[tuple[str, ...], str]:
    """Return the lines ``git ls-remote`` prints, or why it failed; asked once per process."""
    # What the address stands for here: people may have told git to use a mirror (url.<mirror>.insteadOf).
    host = urlsplit(git.text("ls-remote", "--get-url", url)).hostname
    if host in _SILENT:
        return (), _SILENT[host]
    try:
        answer = git.text(
            "ls-remote", "--symref", url, "HEAD", "refs/heads/*", "refs/tags/*", timeout=LOOK_UP_SECONDS
        )
    except git.GitError as error:
        if error.timed_out and host:
            _SILENT[host] = f"{host} gave {error.reason}"
            return (), _SILENT[host]
        if host and "Could not resolve host" in error.reason:
            return (), f"there is no way to {host} from here"
        if "could not read Username" in error.reason or "not found" in error.reason:
            return (), f"{url} is not public"
        return (), error.reason
    return tuple(answer.splitlines()), ""


# Hosts that let a question run into its time limit, with what to say about them: they are not asked again.
_SILENT: dict[str, str] = {}


def _remote(url: str) -> tuple[dict[str, str], str]:
    """Return the refs of a remote repository with their commits, and the name of its default branch."""
    lines, reason = _look_up(url)
    if reason:
        raise _NoCloneError(reason)
    refs: dict[str, str] = {}
    default = ""
    for line in lines:
        value, _, ref = line.partition("\t")
        if value.startswith("ref: refs/heads/") and ref == "HEAD":
            default = value.removeprefix("ref: refs/heads/")
        else:
            refs[ref] = value
    if not refs:
        raise _NoCloneError("it is empty")
    return refs, default or next((name for name in ("main", "master") if f"refs/heads/{name}" in refs), "")


def _usable(path: Path, repo: Repo) -> bool:
    return (path / ".git").is_dir() and (path / repo.package).is_dir() and repos.commit(path) is not None


def _cached(name: str, repo: Repo, make: Callable[[Path], None]) -> Path:
    """Return the folder `name` of the cached sources, filled by `make` if missing: whole or not at all."""
    folder = cache_dir("sources")
    path = folder / name
    if _usable(path, repo):
        return path
    with _scratch(folder) as scratch:
        new = scratch / "new"
        new.mkdir()
        try:
            make(new)
            if not _usable(new, repo):
                raise UserError(f"What was fetched as {repo.name} has no {repo.package}/ in it, so it is not used.")
            if _usable(path, repo):  # another run was faster, and somebody may be copying from there
                return path
            if path.exists():
                path.rename(scratch / "broken")
            new.rename(path)
        except OSError as error:
            if not _usable(path, repo):  # else another run was faster
                raise UserError(
                    f"{path} cannot be written ({error.strerror or error}); make room or set TAO_HF_CACHE."
                ) from error
    return path


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Give a folder on the same disk as `parent`'s content that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=atomic.SCRATCH, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tracked(path: Path) -> list[str]:
    return git.run("ls-files", "-z", cwd=path).decode("utf-8", "surrogateescape").split("\0")[:-1]


def _place(workdir: Path, repo: Repo, origin: Path, branch: str) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    with _scratch(workdir) as scratch:
        new = scratch / repo.name
        shutil.copytree(origin, new, symlinks=True, copy_function=_link_objects)
        if branch:
            git.run("branch", "-m", branch, cwd=new)
        git.run("update-index", "-q", "--refresh", cwd=new, timeout=300)
        new.rename(workdir / repo.name)


def _link_objects(source: str, target: str) -> None:
    """Copy a file; git's objects, which never change, are linked instead where the disk allows it."""
    if f"{os.sep}.git{os.sep}objects{os.sep}" in source:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copy2(source, target)
