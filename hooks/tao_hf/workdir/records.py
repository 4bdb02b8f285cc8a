"""What a working directory records of itself: its models, its repositories, its runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tao_hf.base.errors import UserError


def load_model(workdir: Path, model: str) -> dict[str, Any]:
    """Return the model.json of `model`; UserError naming the models there are when it is not one of them."""
    known = models(workdir)
    if model not in known:
        have = f"the models here are {', '.join(known)}" if known else "there is no model here yet"
        raise UserError(f"there is no model {model!r} in {workdir}; {have}")
    path = workdir / ".tao-hf" / model / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run copier update to write it again") from error
    if not isinstance(info, dict) or info.get("model_name") != model:
        raise UserError(f"{path} does not describe {model}; run copier update to write it again")
    return info


def models(workdir: Path) -> list[str]:
    """Return the names of the models in a working directory."""
    return sorted(path.parent.name for path in (workdir / ".tao-hf").glob("*/model.json"))


def scalar(answers: Path, name: str) -> str:
    """Return one answer from an answers file without a YAML parser; an empty string when there is none.

    Copier writes plain and quoted scalars on one line; what is none of these has to be read as YAML.
    """
    text = answers.read_text(encoding="utf-8", errors="replace") if answers.is_file() else ""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            value = line.partition(":")[2].strip()
            if value.startswith('"'):
                try:
                    return str(json.loads(value))
                except ValueError:
                    return ""
            if value.startswith("'"):
                return value[1:-1].replace("''", "'")
            return "" if value in ("null", "~") else value
    return ""


def repositories(workdir: Path) -> dict[str, dict[str, Any]]:
    """Return what workdir.json says of each TAO repository: source, version, path, commit."""
    return _recorded(workdir).get("repos", {})


def runtime_kind(workdir: Path) -> str:
    """Return the kind of runtime that the working directory was made with, "auto" when it does not say."""
    return _recorded(workdir).get("runtime", "auto")


def uses_gpu(workdir: Path) -> bool:
    """Tell whether containers may use a GPU: yes, unless the working directory was set up without one."""
    return _recorded(workdir).get("gpu", True)


def copier(workdir: Path) -> str:
    """Return the Python interpreter that Copier ran in last, an empty string when that is not recorded."""
    return _recorded(workdir).get("copier", "")


def _recorded(workdir: Path) -> dict[str, Any]:
    """Return what workdir.json holds; nothing when there is none that can be read."""
    try:
        return json.loads((workdir / ".tao-hf" / "workdir.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
