"""After the last question: all is checked before anything is written; which answers are written down."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_hf.answers import earlier, validators
from tao_hf.answers.strategy import chosen
from tao_hf.base import lock
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.clones import branches, sources
from tao_hf.questions.naming import made_from_another, name_problem
from tao_hf.rendering import template_vars
from tao_hf.workdir import ledger, records, staging

NEEDED_BYTES = 32 * 1024**2


def problem_when_asked(question: str, conf: Mapping[str, Any], *given: Any) -> str:
    """Return what is wrong with an answer typed at the prompt, or an empty string.

    Answers given with ``--data`` or taken with ``--defaults`` are checked by `check_all` instead: Copier shows an
    invalid one of those as a traceback.
    """
    if conf["defaults"] or question in conf["data"]:
        return ""
    if question == "model_name":
        return name_problem(*given, Path(str(conf["dst_path"])).absolute()) or ""
    if question == "image_size":
        return validators.image_size_problem(*given) or ""
    return validators.num_labels_problem(*given) or ""


def check_all(updating: bool, conf: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Check all answers and the working directory before anything is written; an update has done so already.

    Returns:
        The name of the strategy that was settled on.

    Raises:
        UserError: For the first thing that is wrong.
    """
    if updating:
        return {"strategy": chosen(answers["proofs"], answers["strategy"])}
    workdir = Path(str(conf["dst_path"])).absolute()
    problem = (
        name_problem(answers["model_name"], answers["workspace"], answers["findings"], workdir)
        or validators.image_size_problem(answers["image_size"], answers["findings"])
        or validators.num_labels_problem(answers["num_labels"], answers["findings"])
        or validators.backbone_problem(
            answers["strategy"], answers["image_size"], answers["findings"], answers["proofs"]
        )
        or _path_problem(workdir)
        or _disk_problem(workdir)
    )
    if problem:
        raise UserError(problem)
    if made_from_another(workdir, answers["model_name"], answers["findings"]):
        raise UserError(
            f"{answers['model_name']} in {workdir} was made from another Hugging Face model: choose another "
            f"model_name, or remove it first (./tao-hf remove {answers['model_name']})."
        )
    generated = template_vars.generated_files(TEMPLATE, answers["task_type"], answers["model_name"])
    taken = sources.collisions(answers["workspace"]["repos"], generated)
    if taken and answers["model_name"] not in records.models(workdir):
        raise UserError(f"{taken[0]} is in the repository already: choose another model_name.")
    branches.check(workdir, answers["branch_name"], answers["base_branch"])
    ledger.Ledger(workdir).exists()
    if not conf["pretend"]:
        # Copier removes a destination it made itself when a task fails; what failed its tests must stay.
        workdir.mkdir(parents=True, exist_ok=True)
        lock.hold_model(workdir, answers["model_name"])
        staging.clear(workdir, answers["model_name"])
    return {"strategy": chosen(answers["proofs"], answers["strategy"])}


def recorded(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to write down, in the present form; a template in a folder is found from everywhere then."""
    source = Path(str(answers["_src_path"]))
    answers = earlier.brought_up(answers)
    return {**answers, "_src_path": str(source.absolute())} if source.is_dir() else answers


def _path_problem(workdir: Path) -> str | None:
    if set(str(workdir)) & set(" \t\n'\"\\$`"):
        return f"TAO's commands cannot take blanks and quotes in paths: choose another folder than {workdir}."
    return None


def _disk_problem(workdir: Path) -> str | None:
    existing = next(path for path in (workdir, *workdir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < NEEDED_BYTES:
        return (
            f"{workdir} has {free // 1024} KiB of free disk space, and {NEEDED_BYTES // 1024**2} MiB are needed: "
            "make room or choose another folder."
        )
    return None
