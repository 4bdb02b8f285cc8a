"""What became of a model's files, for people."""

from __future__ import annotations

from collections.abc import Sequence

from tao_hf.workdir import merge
from tao_hf.workdir.merge import Change

_SAYING = {
    "added": "new",
    "updated": "updated",
    "merged": "merged with your changes",
    "conflict": "CONFLICT",
    "removed": "removed, the template has it no more",
    "kept": "kept because you edited it, though the template has it no more",
    "deleted": "stays deleted, as you deleted it",
    "yours": "your version, the template has nothing new",
}


def of_changes(model: str, changes: Sequence[Change], label: str) -> str:
    """Return what became of a model's files, for people."""
    rows = [f"\n  {model} is now at {label}"]
    worth = [change for change in changes if change.kind not in ("same", "yours")]
    width = max((len(_SAYING[change.kind]) for change in worth), default=0)
    for change in sorted(worth, key=lambda change: (list(_SAYING).index(change.kind), change.path)):
        rows.append(f"    {_SAYING[change.kind]:<{width}}  {change.path}")
    same = sum(change.kind == "same" for change in changes)
    yours = sum(change.kind == "yours" for change in changes)
    rows.append(f"    {same} files unchanged" + (f", {yours} with your changes alone" if yours else ""))
    if any(change.kind == "conflict" for change in changes):
        rows.append(f"  Resolve the conflict blocks (<<<<<<< {merge.YOURS}), then ./tao-hf test {model}.")
    elif worth:
        rows.append(f"  Test it: ./tao-hf test {model}")
    if any(change.before != change.after for change in changes):
        rows.append(f"  Take it back: ./tao-hf update {model} --undo")
    return "\n".join(rows)
