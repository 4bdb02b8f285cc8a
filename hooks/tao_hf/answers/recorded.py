"""Reads the answers of a model, and refuses to update over answers that an update cannot change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from tao_hf.answers import earlier, validators
from tao_hf.base.errors import UserError
from tao_hf.base.text import one_line
from tao_hf.workdir import staging
from tao_hf.workdir.ledger import Ledger

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
    """Return a model's answers, in the present form; see `earlier`.

    Raises:
        UserError: There are none, or they are no YAML mapping.
    """
    path = workdir / staging.answers_file(model)
    hint = f"./tao-hf restore {model} puts back what was recorded last"
    try:
        found = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = one_line(str(error))
        raise UserError(f"The answers of {model} in {path} cannot be read ({reason}); {hint}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("findings"), dict):
        raise UserError(f"{path} does not hold answers; {hint}.")
    return earlier.brought_up(found)


def check(workdir: Path, model: str, data: Mapping[str, Any], questions: Collection[str]) -> dict[str, Any]:
    """Refuse answers, given in `data` or edited in the file, that an update cannot change, and wrong values.

    Args:
        workdir: The working directory.
        model: The model.
        data: Answers given on the command line; text is read as YAML, as Copier does.
        questions: Names of the questions that the template has now; those that it did not have before may be answered.

    Returns:
        The answers that the update renders.

    Raises:
        UserError: One of them cannot be changed by an update, or has no usable value.
    """
    now = load(workdir, model)
    tip = Ledger(workdir).tip(f"template/{model}")
    before = now
    if tip:
        before = earlier.brought_up(yaml.safe_load(Ledger(workdir).files(tip)[staging.answers_file(model)]))
    rendering = staging.incoming(workdir, model).exists()  # an interrupted update: its version is there already
    changed = {
        name: now.get(name)
        for name in {*before, *now}
        if now.get(name) != before.get(name) and not (name == "_commit" and rendering)
    }
    for name, value in data.items():
        given = yaml.safe_load(value) if isinstance(value, str) else value
        if given != now.get(name):
            changed[name] = given
    for name in sorted(set(changed) - set(CHANGEABLE) - set(_OF_NO_EFFECT)):
        if name not in before and name in questions:
            continue
        if name not in before:
            known = ", ".join(CHANGEABLE)
            raise UserError(f"There is no answer called {one_line(name)}: an update can change {known}.")
        why = _WHY.get(name, _SETTLED).format(model=model)
        restore = "" if name in data else f" ./tao-hf restore {model} puts back the recorded answers."
        raise UserError(f"{name} cannot be changed by an update, because {why}.{restore}")
    check_values({**now, **changed})
    return {**now, **changed}


def check_values(found: Mapping[str, Any]) -> None:
    """Refuse answers that nothing can be rendered from.

    Raises:
        UserError: For the first value that is wrong.
    """
    problem = (
        validators.image_size_problem(found.get("image_size"), found["findings"])
        or validators.num_labels_problem(found.get("num_labels"), found["findings"])
        or validators.backbone_problem(
            found.get("strategy"), found.get("image_size"), found["findings"], found["proofs"]
        )
    )
    if problem:
        raise UserError(f"{problem} Nothing was changed.")
