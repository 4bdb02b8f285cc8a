"""./tao-hf update and restore: brings a model to a newer template, takes that back, and puts lost files back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tao_hf.base import lock
from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity
from tao_hf.clones import branches, repos
from tao_hf.lifecycle import checks, registration
from tao_hf.workdir import merge, records, staging
from tao_hf.workdir.ledger import Ledger
from tao_hf.workdir.merge import Change

_TRACEBACK = "Traceback (most recent call last):"
_NOISE = ("Updating to template version", "Keeping template version", " > Running task", "Task ")


def update(workdir: Path, model: str, data: Sequence[str], ref: str | None) -> bool:
    """Bring a model to a newer version of the template; tell whether it went without conflicts.

    Args:
        workdir: The working directory.
        model: The model.
        data: Changed answers, as ``NAME=VALUE``.
        ref: Version of the template; the newest when `None`.

    Raises:
        UserError: The update was refused or failed.
    """
    _adopt_unknown(workdir, model)
    checks.begin(workdir, model)
    checks.check_clones(workdir, model)
    _check_answers(workdir, model)
    options = ["--trust", "--defaults", "--answers-file", staging.answers_file(model)]
    options += [part for given in data for part in ("--data", given)]
    options += ["--vcs-ref", ref] if ref else []
    with activity(f"Updating {model}"):
        told = _copier(workdir, "update", *options, str(workdir))
    print(told.strip("\n"))
    files = Ledger(workdir).files(f"refs/heads/ledger/{model}")
    return not any(merge.has_conflicts(content) for content in files.values())


def undo(workdir: Path, model: str) -> list[Change]:
    """Take the last update of a model back; what is on the disk goes into the ledger first.

    Patches of TAO's own files stay as they are.

    Raises:
        UserError: There is no update to take back.
    """
    checks.begin(workdir, model)
    with lock.repositories(workdir):
        changes = staging.go_back(workdir, model)
        registration.register(workdir, model)
    return changes


def restore(workdir: Path, model: str) -> list[str]:
    """Put back what is missing of a model as the ledger recorded it last; return the files that were written.

    The clones go to the model's branch and get their patches back.

    Raises:
        UserError: The ledger does not know the model, or a clone is missing or cannot go to the branch.
    """
    checks.begin(workdir, model)
    with lock.repositories(workdir):
        there = [repo.name for repo in repos.REPOS if repos.find(workdir, repo)]
        missing = [repo.name for repo in repos.REPOS if repo.required and repo.name not in there]
        if missing:
            raise UserError(f"{', '.join(missing)} is not in {workdir}; put a clone there, then run this again.")
        answers = workdir / staging.answers_file(model)
        written_on = records.load_model(workdir, model)["branch_name"]
        branches.create(workdir, there, written_on, records.scalar(answers, "base_branch"))
        written = staging.put_back(workdir, model)
        registration.register(workdir, model)
        registration.link_answers(workdir)
    return written


def _adopt_unknown(workdir: Path, model: str) -> None:
    """Make the ledger of a model anew when it was deleted, from the version of the template that the answers name."""
    records.load_model(workdir, model)
    ledger = Ledger(workdir)
    if ledger.exists() and ledger.tip(f"template/{model}"):
        return
    answers = workdir / staging.answers_file(model)
    source, version = records.scalar(answers, "_src_path"), records.scalar(answers, "_commit")
    if not source or not version:
        raise UserError(f"{answers} does not say which template made {model}; copy it anew with copier copy.")
    with tempfile.TemporaryDirectory(prefix="tao-hf-ledger-") as scratch:
        with activity(f"The ledger does not know {model}: rendering it again at {version}"):
            options = ["--trust", "--defaults", "--skip-tasks", "--quiet", "--vcs-ref", version]
            _copier(workdir, "copy", *options, "--data-file", str(answers), source, scratch)
        again = Path(scratch)
        rendering = staging.rendered(again, model)
        rendering[staging.answers_file(model)] = answers.read_bytes()
        rendering[staging.model_file(model)] = (staging.incoming(again, model) / "model.json").read_bytes()
    with lock.repositories(workdir):
        staging.adopt(workdir, model, rendering)


def _check_answers(workdir: Path, model: str) -> None:
    """Refuse answers that Copier would answer with a traceback; `recorded.check` looks closer."""
    path = workdir / staging.answers_file(model)
    if not (path.is_file() and records.scalar(path, "_src_path")):
        raise UserError(
            f"There are no answers of {model} in {path}; ./tao-hf restore {model} puts back what was recorded last."
        )


def _copier(workdir: Path, *arguments: str) -> str:
    """Run Copier and return its standard output; what it prints besides is shown only when it fails."""
    python = records.copier(workdir)
    if python and Path(python).exists():
        command = [python, "-m", "copier"]
    elif shutil.which("copier"):
        command = ["copier"]
    else:
        raise UserError(
            "Copier is not to be found; install it with pipx install copier && pipx inject copier "
            "copier-template-extensions."
        )
    done = subprocess.run(
        [*command, *arguments], cwd=workdir, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False,
        errors="replace", env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
        if _TRACEBACK in lines:  # what Copier does with an answers file that is no YAML, for one
            after = lines[lines.index(_TRACEBACK) + 1 :]
            reason = next((line for line in after if not line.startswith(" ")), "no reason given")
            raise UserError(
                f"Copier failed ({reason}). Were the answers edited? ./tao-hf restore puts back the recorded ones."
            )
        raise UserError("\n".join(lines).removeprefix("tao-hf: ") or "Copier failed and gave no reason.")
    return done.stdout
