"""./tao-hf remove: takes a model out of a working directory; what a person made goes into a backup.

A model that is being removed bears a marker with the name of the backup. A command that is killed leaves files that
are in their old place, in the backup or in both, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tao_hf.base import atomic, git, lock
from tao_hf.base.errors import UserError
from tao_hf.clones import branches, patches, repos
from tao_hf.lifecycle import registration
from tao_hf.workdir import records, staging
from tao_hf.workdir.ledger import Commit, Ledger

_COPYING = ".tao-hf-copying"
# What a model has for itself; any other generated file lies among files of TAO's.
_OWN_FOLDER = r"tao-[a-z]+/(?:nvidia_tao_[a-z]+/(?:cv|config)|tests(?:/cv_unit_test)?)/{model}(?=/)"


@dataclass(frozen=True)
class _Traces:
    """What a model has left in the clones.

    Attributes:
        names: All files that the template or the ledger knows of.
        rendered: Its files as the template rendered them last; none when the ledger does not know the model.
        parents: The ledger's commits that its last one is to follow.
        folders: The folders that hold nothing but what belongs to the model.
        single: Its files in other folders.
        found: What is on the disk of that: files and links.
    """

    names: frozenset[str]
    rendered: dict[str, bytes]
    parents: tuple[str, ...]
    folders: tuple[Path, ...]
    single: tuple[Path, ...]
    found: tuple[Path, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``./tao-hf remove`` takes."""
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")


def main(workdir: Path, model: str, sure: bool) -> int:
    """Remove a model, say what became of its files, and return the exit status.

    Args:
        workdir: The working directory.
        model: The model.
        sure: Do not ask.

    Raises:
        UserError: There is no such model, nobody can be asked, a clone or another command is in the way, or the disk
            does not let us.
    """
    _check_known(workdir, model)
    lock.hold_model(workdir, model, to_remove=True)
    marker = lock.removal_marker(workdir, model)
    with lock.repositories(workdir):
        for repo in repos.REPOS:
            if git.is_clone(workdir / repo.name):
                branches.check_finished(workdir / repo.name)
        if Ledger(workdir).exists():
            staging.finish(workdir, model)
        traces = _traces(workdir, model)
    if not (sure or marker.exists() or _confirmed(workdir, model, traces)):
        print("  nothing was removed")
        return 1
    info = records.load_model(workdir, model)
    base = records.scalar(workdir / staging.answers_file(model), "base_branch")
    with lock.repositories(workdir):
        backup = _carry_out(workdir, model, info["backbone"]["module"])
    print(_summary(workdir, model, traces, backup, info["branch_name"], base))
    return 0


def _check_known(workdir: Path, model: str) -> None:
    """Refuse what is no model here; one that was removed may have been so by a command that was killed at the end."""
    if model in records.models(workdir):
        return
    backups = sorted(path for path in _backups(workdir).glob("*") if (path / staging.model_file(model)).is_file())
    if backups:
        _forget(workdir, model)
        raise UserError(f"{model} was removed from {workdir} before; what was kept of it is in {backups[-1]}.")
    records.load_model(workdir, model)


def _backups(workdir: Path) -> Path:
    return workdir / ".tao-hf" / "removed"


def _confirmed(workdir: Path, model: str, traces: _Traces) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"There is no terminal to ask whether {model} is to be removed; add --yes if you are sure.")
    files = [path for path in traces.found if not _is_cache(path)]
    own = sum(not _is_untouched(workdir, path, traces) for path in files)
    try:
        answer = input(f"Remove {model} ({len(files)} files, {own} edited or added by you)? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _carry_out(workdir: Path, model: str, backbone: str | None) -> Path:
    """Remove a model and return the backup."""
    marker = lock.removal_marker(workdir, model)
    atomic.sweep([marker, *patches.files(workdir)])
    patches.unapply(workdir, model, backbone)  # the only one that may refuse, so it comes first
    if not marker.exists():
        atomic.write(marker, _new_backup(workdir, model).name)
    backup = _backups(workdir) / marker.read_text(encoding="utf-8")
    traces = _traces(workdir, model)
    ledger = Ledger(workdir)
    if traces.parents and not ledger.tip(_ref(backup)):
        there = [path.relative_to(workdir).as_posix() for path in traces.found if path.is_file()]
        files = staging.on_disk(workdir, traces.names.intersection(there))
        ledger.write(_ref(backup), [Commit(f"{model}: removed\n\nOperation: remove\n", traces.parents, files)])
    try:
        _take_out(workdir, traces, backup)
        staging.clear(workdir, model)
        if traces.parents:
            ledger.move({f"template/{model}": None, f"ledger/{model}": None})
        home = backup / ".tao-hf" / model
        home.parent.mkdir(parents=True, exist_ok=True)
        marker.parent.rename(home)
        _forget(workdir, model)
    except OSError as error:
        raise UserError(
            f"{error.filename or backup} cannot be moved to {backup} ({error.strerror or error}); make room there or "
            "make it yours, and run the same command again: it goes on from here."
        ) from error
    return backup


def _new_backup(workdir: Path, model: str) -> Path:
    now = time.time()
    while True:
        path = _backups(workdir) / f"{model}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}"
        if not path.exists():
            return path
        now += 1


def _ref(backup: Path) -> str:
    """Return what keeps the history of a removed model in the ledger."""
    return f"refs/tao-hf/removed/{backup.name}"


def _forget(workdir: Path, model: str) -> None:
    """Do what is left when the records of a model are gone."""
    registration.link_answers(workdir)
    for command in (workdir / ".tao-hf" / "bin").glob(f"*/{model}"):
        command.unlink()
    lock.forget(workdir, model)


def _traces(workdir: Path, model: str) -> _Traces:
    """Look for what a model, perhaps half removed, has in the clones."""
    ledger, marker = Ledger(workdir), lock.removal_marker(workdir, model)
    names = set(records.load_model(workdir, model)["files"])
    rendered: dict[str, bytes] = {}
    parents: tuple[str, ...] = ()
    if ledger.exists():
        last = ledger.tip(_ref(Path(marker.read_text(encoding="utf-8")))) if marker.exists() else None
        tips = ledger.parents(last) if last else [ledger.tip(f"ledger/{model}"), ledger.tip(f"template/{model}")]
        parents = tuple(tip for tip in tips if tip)
    if parents:
        rendered = staging.generated(ledger.files(parents[-1]))
        names.update(rendered, ledger.files(parents[0]))
    pattern = re.compile(_OWN_FOLDER.format(model=re.escape(model)))
    folders = sorted({workdir / match.group() for match in map(pattern.match, names) if match})
    single = sorted(workdir / name for name in names if not pattern.match(name))
    atomic.sweep(workdir / name for name in names if (workdir / name).parent.is_dir())
    inside = [path for folder in folders for path in _entries(folder)]
    found = [*inside, *(path for path in single if path.is_symlink() or path.is_file())]
    return _Traces(frozenset(names), rendered, parents, tuple(folders), tuple(single), tuple(found))


def _entries(path: Path) -> Iterator[Path]:
    """Yield every file below a folder; a link, to a folder too, counts as one."""
    if path.is_symlink() or path.is_file():
        yield path
        return
    for top, folders, files in os.walk(path):
        yield from (Path(top, name) for name in files)
        yield from (Path(top, name) for name in folders if Path(top, name).is_symlink())


def _is_cache(path: Path) -> bool:
    return path.suffix == ".pyc" and path.parent.name == "__pycache__"


def _is_untouched(workdir: Path, path: Path, traces: _Traces) -> bool:
    """Tell whether a file is as the template rendered it."""
    rendered = traces.rendered.get(path.relative_to(workdir).as_posix())
    return rendered is not None and not path.is_symlink() and path.read_bytes() == rendered


def _take_out(workdir: Path, traces: _Traces, backup: Path) -> None:
    """Take a model's files out of the clones: what is not as it was rendered goes into the backup."""
    for path in traces.found:
        if _is_cache(path) or _is_untouched(workdir, path, traces):
            path.unlink()
        else:
            _move(path, backup / path.relative_to(workdir), backup / _COPYING)
    (backup / _COPYING).unlink(missing_ok=True)
    for path in traces.single:
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
        staging.remove_empty(path.parent, workdir)
    for folder in traces.folders:
        for top, _, _ in os.walk(folder, topdown=False):
            os.rmdir(top)
        staging.remove_empty(folder.parent, workdir)


def _move(path: Path, target: Path, scratch: Path) -> None:
    """Move a file or link to `target`, through `scratch` beside that; at every moment one of them is whole."""
    while os.path.lexists(target) and not _is_same(path, target):
        target = target.with_name(f"{target.name}.later")  # written anew after a removal that was interrupted
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.unlink(missing_ok=True)
    shutil.copy2(path, scratch, follow_symlinks=False)
    if not scratch.is_symlink():
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
    os.replace(scratch, target)
    path.unlink()


def _is_same(path: Path, other: Path) -> bool:
    if path.is_symlink() or other.is_symlink():
        return path.is_symlink() and other.is_symlink() and path.readlink() == other.readlink()
    return filecmp.cmp(path, other, shallow=False)


def _summary(workdir: Path, model: str, traces: _Traces, backup: Path, branch: str, base: str) -> str:
    """Return what became of a model's files, for people."""
    kept = sorted(path.relative_to(backup) for path in _entries(backup))
    kept = [path for path in kept if path.parts[0] != ".tao-hf"]
    place = backup.relative_to(workdir)
    rows = [f"  {model} is removed"]
    if kept and not traces.parents:
        rows.append(f"  all {len(kept)} files are in {place}; without the ledger yours cannot be told from ours")
    elif kept:
        rows.append(f"  your files are in {place}:")
        rows += [f"    {'edited' if path.as_posix() in traces.rendered else 'added '}  {path}" for path in kept]
    rows.append(f"  answers, report, logs and results are in {place}/.tao-hf/{model}")
    shared = any(records.load_model(workdir, other).get("branch_name") == branch for other in records.models(workdir))
    stays = []
    for repo in repos.REPOS:
        clone = workdir / repo.name
        if not git.is_clone(clone):
            continue
        own = [str(path.relative_to(clone)) for path in (*traces.folders, *traces.single) if clone in path.parents]
        known = git.run("ls-files", "-z", "--", *own, cwd=clone).count(b"\0") if own else 0
        if known:
            rows.append(
                f"  {repo.name}: {known} of the files are committed or staged there, so git status shows them as "
                f"deleted; git -C {repo.name} add --update puts that into your next commit"
            )
        if branches.current(clone) == branch:
            stays.append(repo.name)
        elif own and git.succeeds("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", cwd=clone):
            rows.append(f"  {repo.name} is not on {branch}; what is committed there stays")
    if stays and not shared:
        rows.append(
            f"  {', '.join(stays)} {'stay' if len(stays) > 1 else 'stays'} on {branch}; to leave it: "
            f"git -C {stays[0]} switch {base or 'BRANCH'}"
        )
    return "\n".join(rows)
