"""What a command must find before it changes a model, and an update before Copier renders."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tao_hf.base import git, lock
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.clones import branches, repos
from tao_hf.workdir import merge, records, staging
from tao_hf.workdir.ledger import Ledger


def begin(workdir: Path, model: str) -> None:
    """Take the model for this process, and go on with what was interrupted.

    Raises:
        UserError: Another command works on it, or the ledger does not know it or holds something of the person's.
    """
    records.load_model(workdir, model)
    lock.hold_model(workdir, model)
    ledger = Ledger(workdir)
    if not ledger.exists() or ledger.tip(f"template/{model}") is None:
        raise UserError(f"The ledger of {workdir} does not know {model}; ./tao-hf update {model} makes it anew.")
    staged = ledger.staged()
    if staged:
        raise UserError(
            f"The ledger, git in {workdir}, has uncommitted changes of yours ({', '.join(staged[:3])}); commit them or "
            "put them back (git restore --staged --worktree .), then run this again."
        )
    with lock.repositories(workdir):
        if staging.finish(workdir, model):
            print(f"  – {model}: went on with an operation that was interrupted", file=sys.stderr)


def check_clones(workdir: Path, model: str) -> None:
    """Refuse while the model's files are not all there in the way that people leave them.

    Raises:
        UserError: A clone is gone or in the middle of a rebase, it is on a branch without the files, all of its files
            are gone at once, or a conflict of an earlier update is not resolved yet.
    """
    written_on = records.load_model(workdir, model)["branch_name"]
    ledger = Ledger(workdir)
    names = [name for name in ledger.files(f"refs/heads/ledger/{model}") if not name.startswith(".tao-hf/")]
    again = f"./tao-hf restore {model} writes them again as they were recorded last"
    for repo in repos.REPOS:
        own = [name for name in names if name.startswith(f"{repo.name}/")]
        if not own:
            continue
        path = workdir / repo.name
        if not git.is_clone(path):
            raise UserError(f"{repo.name} is not in {workdir} any more; put your clone back there, then {again}.")
        branches.check_finished(path)
        missing = [name for name in own if not (workdir / name).is_file()]
        here = branches.current(path)
        if missing and (len(missing) == len(own) or here != written_on):
            raise UserError(
                f"{len(missing)} of the {len(own)} files of {model} are not in {repo.name}, which is on "
                f"{here or 'no branch'}; they were written on {written_on}. Bring them back (git switch, git stash "
                f"pop), or {again}."
            )
    broken = [name for name in names if merge.has_conflicts(staging.on_disk(workdir, [name]).get(name, b""))]
    if broken:
        raise UserError(
            f"{', '.join(broken[:3])} in {workdir} still holds conflict blocks (<<<<<<<) of an earlier update; resolve "
            f"them, or go back with ./tao-hf update {model} --undo."
        )


def model_of(workdir: Path, answers_file: str) -> str:
    """Return the model that `copier update` is to update.

    Args:
        workdir: The working directory.
        answers_file: What Copier was given with ``-a``, relative to `workdir`; without it, no path of a model's.

    Raises:
        UserError: There are several models, and none was named; or none at all.
    """
    known = records.models(workdir)
    folder = Path(answers_file).parent.name
    if folder in known:
        return folder
    if len(known) == 1:
        return known[0]
    if not known:
        raise UserError(f"There is no model in {workdir} yet: run copier copy with this directory as the destination.")
    raise UserError(
        f"There are {len(known)} models in {workdir}: say which with -a .tao-hf/MODEL/answers.yml "
        f"({', '.join(known[:5])}), or use ./tao-hf update."
    )


def prepare(workdir: Path, answers_file: str, data: Mapping[str, Any], questions: Collection[str]) -> None:
    """Do what comes before an update of Copier's; the arguments are those of `model_of` and `recorded.check`.

    Raises:
        UserError: The update is refused.
    """
    # These need a YAML parser, which only Copier's interpreter has.
    from tao_hf.answers import recorded
    from tao_hf.rendering import template_vars

    model = model_of(workdir, answers_file)
    begin(workdir, model)
    check_clones(workdir, model)
    template_vars.derived(TEMPLATE, recorded.check(workdir, model, data, questions))
    folder = staging.incoming(workdir, model)
    folder.mkdir(parents=True, exist_ok=True)  # from here on an update is under way
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
