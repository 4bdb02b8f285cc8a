"""The name of the model: one that nothing in the repositories has, or that of the same model before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_hf.answers import recorded as answers_of
from tao_hf.answers.model_name import free_name, model_name_problem
from tao_hf.questions.workspace import explored
from tao_hf.workdir import records


def suggest_name(dst_path: Any, findings: Mapping[str, Any], workspace: Mapping[str, Any]) -> str:
    """Return a name for the model that nothing in the repositories has yet."""
    workdir = Path(str(dst_path)).absolute()
    found = explored(workdir, workspace["repos"], findings["task_type"])
    others = [name for name in found["own_models"] if made_from_another(workdir, name, findings)]
    taken = {**found, "own_models": [], "models": {**found["models"], "the working directory": others}}
    own = set(found["own_models"]) - set(others)
    return free_name(findings["suggested_name"], {**taken, "own_models": sorted(own)})


def name_problem(
    model_name: str, workspace: Mapping[str, Any], findings: Mapping[str, Any], workdir: Path
) -> str | None:
    """Return what is wrong with a name, `None` when the model can have it."""
    return model_name_problem(model_name, explored(workdir, workspace["repos"], findings["task_type"]))


def made_from_another(workdir: Path, model_name: str, findings: Mapping[str, Any]) -> bool:
    """Tell whether the model of this name in the working directory was made from another Hugging Face model."""
    if model_name not in records.models(workdir):
        return False
    return answers_of.load(workdir, model_name)["findings"]["hf_model_id"] != findings["hf_model_id"]
