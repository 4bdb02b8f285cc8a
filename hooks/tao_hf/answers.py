"""Reads the answers of a model, and refuses to update over answers that an update cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tao_hf import intake, values
from tao_hf.errors import UserError
from tao_hf.ledger import Ledger
from tao_hf.rendering import one_line

CHANGEABLE = ("image_size", "num_labels", "strategy")
_OF_NO_EFFECT = ("run_tests", "keep_scratch", "_src_path")  # on what an update renders
_WHY = {
    "model_name": "a model cannot be renamed: copy it under its new name (copier copy), then ./tao-hf remove {model}",
    "hf_model_id": "an update does not inspect models: copy the other model under a name of its own (copier copy)",
    "task_type": "the task is the model's",
    "branch_name": "the branch was made by the copy: rename it with git if you like",
}
_SETTLED = "it was settled by copier copy, and an update asks neither the network nor a container"


def load(workdir: Path, model: str) -> dict[str, Any]:
    """Return a model's answers.

    Raises:
        UserError: There are none, or they are no YAML mapping.
    """
    path = workdir / intake.answers_file(model)
    hint = f"./tao-hf restore {model} puts back what was recorded last"
    try:
        found = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = one_line(str(error))
        raise UserError(f"The answers of {model} in {path} cannot be read ({reason}); {hint}.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} does not hold answers; {hint}.")
    return found


def check(workdir: Path, model: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that `data` or an edit of the answers file changes, with their new values.

    Args:
        workdir: The working directory.
        model: The model.
        data: Answers given on the command line; text is read as YAML, as Copier does.

    Raises:
        UserError: One of them cannot be changed by an update.
    """
    now = load(workdir, model)
    tip = Ledger(workdir).tip(f"template/{model}")
    before = yaml.safe_load(Ledger(workdir).files(tip)[intake.answers_file(model)]) if tip else now
    rendering = intake.incoming(workdir, model).exists()  # an interrupted update: its version is there already
    changed = {
        name: now.get(name)
        for name in {*before, *now}
        if now.get(name) != before.get(name) and not (name == "_commit" and rendering)
    }
    for name, value in data.items():
        given = yaml.safe_load(value) if isinstance(value, str) else value
        if given != now.get(name):
            changed[name] = given
    problem = (
        ("image_size" in changed and values.image_size_problem(changed["image_size"], before["findings"]))
        or ("num_labels" in changed and values.num_labels_problem(changed["num_labels"]))
        or ("strategy" in changed and values.strategy_problem(changed["strategy"]))
    )
    if problem:
        raise UserError(f"{problem} Nothing was changed.")
    for name in sorted(set(changed) - set(CHANGEABLE) - set(_OF_NO_EFFECT)):
        if name not in before:
            known = ", ".join(CHANGEABLE)
            raise UserError(f"There is no answer called {one_line(name)}: an update can change {known}.")
        why = _WHY.get(name, _SETTLED).format(model=model)
        restore = "" if name in data else f" ./tao-hf restore {model} puts back the recorded answers."
        raise UserError(f"{name} cannot be changed by an update, because {why}.{restore}")
    return changed
