"""The proof that a strategy gives the numbers of the Hugging Face model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tao_hf.answers.strategy import chosen
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import say
from tao_hf.inspection import proof
from tao_hf.questions.workspace import explored, places
from tao_hf.rendering import tasks


def prove_backbones(
    dst_path: Any,
    findings: Mapping[str, Any],
    workspace: Mapping[str, Any],
    strategy: str,
    containers: Mapping[str, Any],
    keep_scratch: bool,
) -> dict[str, Any]:
    """Prove which strategy gives the model's numbers, show the figures, and return them with what they are made from.

    Raises:
        UserError: The strategy that the person chose does not give them, or none does.
    """
    workdir = Path(str(dst_path)).absolute()
    proofs = _prove_once(workdir, _Once(findings), _Once(workspace), strategy, containers["kind"], keep_scratch)
    chosen(proofs, strategy)
    return proofs


class _Once(dict):
    """An answer that `cache` takes as an argument: the same one for equal contents."""

    def __hash__(self) -> int:
        return hash(json.dumps(self, sort_keys=True))


@cache
def _prove_once(
    workdir: Path, findings: _Once, workspace: _Once, strategy: str, runtime_kind: str, keep_scratch: bool
) -> dict[str, Any]:
    """Prove once per run: Copier asks for the default of a question many times."""
    repos = places(workdir, workspace["repos"])
    registered = explored(workdir, workspace["repos"], findings["task_type"])["backbones"]["files"]
    about = tasks.task(TEMPLATE, findings["task_type"])
    proofs = proof.prove(findings, about, repos, sorted(registered), strategy, runtime_kind, keep_scratch)
    if workspace["repos"]["tao-pytorch"]["source"] == "embedded":
        proofs = {**proofs, "against": "no clone of tao-pytorch is in the working directory"}
    say(proof.describe(proofs))
    return proofs
