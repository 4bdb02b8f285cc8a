"""Makes a model known outside its own files: in TAO's files, and to Copier."""

from __future__ import annotations

from pathlib import Path

from tao_hf.base import atomic
from tao_hf.clones import patches
from tao_hf.workdir import records, staging

ANSWERS_LINK = ".copier-answers.yml"


def register(workdir: Path, model: str) -> None:
    """Patch a model into TAO's own files, where it is not there already."""
    backbone = records.load_model(workdir, model)["backbone"]
    atomic.sweep(patches.files(workdir))
    patches.apply(workdir, model, backbone["module"], backbone["names"])


def link_answers(workdir: Path) -> None:
    """Let Copier find answers without ``-a``: those of the only model, else of any, for `checks.model_of` to refuse."""
    link = workdir / ANSWERS_LINK
    known = records.models(workdir)
    target = Path(staging.answers_file(known[0])) if known else None
    if target is None:
        link.unlink(missing_ok=True)
    elif not link.exists() or link.is_symlink():
        atomic.point(link, target)
