"""Before the first question: answers given on the command line are checked, and an update is prepared."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.text import one_line
from tao_hf.lifecycle import checks, registration
from tao_hf.questions.model import task_types

BANNER = """
tao-hf-template · a Hugging Face vision model into NVIDIA TAO Toolkit
Everything stays on this machine: nothing is pushed, uploaded or published.
"""


def welcome(conf: Mapping[str, Any]) -> str:
    """Return the banner, after checking the names and choices of answers given with ``--data``.

    Raises:
        UserError: If an answer is for no question, or is none of the choices.
    """
    questions = _questions()
    for name, value in conf["data"].items():
        if name not in questions:
            close = difflib.get_close_matches(name, questions, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the questions are {', '.join(questions)}."
            raise UserError(f"There is no question called {one_line(name)}: {hint}")
        choices = task_types() if name == "task_type" else questions[name].get("choices")
        if isinstance(choices, (list, dict)) and value not in _values(choices):
            raise UserError(f"{name} cannot be {one_line(value)}: choose one of {', '.join(_values(choices))}.")
    _check_image_size(conf["data"])
    if "recopy" in sys.argv[1:2] and not _answers_named(conf):
        raise UserError("copier recopy needs -a .tao-hf/MODEL/answers.yml; for a newer version use ./tao-hf update.")
    # Copier would take another model's answers for this one's; the link comes back when the model is in place.
    link = Path(str(conf["dst_path"])) / registration.ANSWERS_LINK
    if link.is_symlink() and not conf["pretend"]:
        link.unlink()
    return BANNER


def refuse_other_answers(conf: Mapping[str, Any]) -> None:
    """Refuse to copy with the answers of another model, which `welcome` prevents where Copier prints it.

    Raises:
        UserError: Copier was told to be quiet, in a working directory with a model.
    """
    if conf["quiet"] and not conf["pretend"] and (Path(str(conf["dst_path"])) / registration.ANSWERS_LINK).is_symlink():
        raise UserError(
            f"{conf['dst_path']} holds a model, whose answers Copier would take for this one's; leave out --quiet, or "
            f"remove {registration.ANSWERS_LINK} first (it comes back)."
        )


def begin_update(conf: Mapping[str, Any]) -> str:
    """Prepare an update, or refuse it; return nothing to print."""
    workdir = Path(str(conf["dst_path"])).absolute()
    _check_image_size(conf["data"])
    checks.prepare(workdir, str(conf["answers_file"]), conf["data"], _questions())
    return ""


def _questions() -> dict[str, Any]:
    """Return the questions of ``copier.yml`` by name."""
    config = yaml.safe_load((TEMPLATE / "copier.yml").read_text(encoding="utf-8"))
    return {name: question for name, question in config.items() if not name.startswith("_")}


def _values(choices: Any) -> list[str]:
    """Return the values of a question's choices, given as list or as label-to-value mapping."""
    return list(choices.values()) if isinstance(choices, dict) else list(choices)


def _check_image_size(data: Mapping[str, Any]) -> None:
    """Refuse an image size given with ``--data`` that is no JSON, which Copier would show as a traceback."""
    given = data.get("image_size")
    if isinstance(given, str):
        try:
            json.loads(given)
        except ValueError as error:
            raise UserError("image_size must be one number, or [height, width], in pixels.") from error


def _answers_named(conf: Mapping[str, Any]) -> bool:
    """Tell whether Copier was given an answers file; without one it renders the template's with no model in it."""
    return Path(str(conf["answers_file"])).parent.name != ".tao-hf"
