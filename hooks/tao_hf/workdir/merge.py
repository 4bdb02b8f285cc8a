"""Decides for every generated file what an update makes of it: what the template had, what it has, what is on the disk.

Nothing here reads or writes a working directory.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from tao_hf.base import git

Kind = Literal["same", "added", "updated", "merged", "conflict", "removed", "deleted", "yours", "kept"]

YOURS = "your version"
_BEGIN = re.compile(rb"^<{7} ", re.MULTILINE)
_END = re.compile(rb"^>{7} ", re.MULTILINE)
_MARKS = range(128)  # git merge-file exits with the number of conflicts, at most 127, or with 255


class Change(NamedTuple):
    """What becomes of one file.

    Attributes:
        path: Relative to the working directory.
        kind: ``same`` (nothing to do), ``added``, ``updated`` (unedited, so the template's), ``merged`` (edited, and
            both changes are in it), ``conflict`` (with conflict blocks), ``removed`` (dropped by the template,
            unedited), ``deleted`` (by the person, and stays so), ``yours`` (edited, and nothing new from the
            template), ``kept`` (edited where the template has nothing to merge with any more).
        before: What is on the disk, `None` for nothing.
        after: What is to be there.
    """

    path: str
    kind: Kind
    before: bytes | None
    after: bytes | None


def merge(
    base: Mapping[str, bytes], ours: Mapping[str, bytes], theirs: Mapping[str, bytes], label: str
) -> list[Change]:
    """Return what becomes of every file.

    Args:
        base: What the template rendered last time.
        ours: What is on the disk, of the files in `base` and `theirs`.
        theirs: What it renders now.
        label: Name of `theirs` in conflict blocks.
    """
    return [
        _change(path, base.get(path), ours.get(path), theirs.get(path), label) for path in sorted({*base, *theirs})
    ]


def _change(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, label: str) -> Change:
    if theirs is None:
        if ours is None or ours == base:
            return Change(path, "removed" if ours is not None else "same", ours, None)
        return Change(path, "kept", ours, ours)
    if ours is None:
        return Change(path, "added", None, theirs) if base is None else Change(path, "deleted", None, None)
    if ours == theirs:
        return Change(path, "same", ours, ours)
    if ours == base:
        return Change(path, "updated", ours, theirs)
    if theirs == base:
        return Change(path, "yours", ours, ours)
    merged = merge_file(base or b"", ours, theirs, label)
    if merged is None:
        return Change(path, "kept", ours, ours)
    return Change(path, "conflict" if has_conflicts(merged) else "merged", ours, merged)


def merge_file(base: bytes, ours: bytes, theirs: bytes, label: str) -> bytes | None:
    """Return what ``git merge-file`` makes of three versions of a text; `None` when one of them is no text."""
    with tempfile.TemporaryDirectory(prefix="tao-hf-merge-") as folder:
        names = ("ours", "base", "theirs")
        for name, content in zip(names, (ours, base, theirs), strict=True):
            Path(folder, name).write_bytes(content)
        labels = [part for text in (YOURS, "template before", label) for part in ("-L", text)]
        try:
            return git.run(
                "merge-file", "--stdout", "--quiet", *labels, *names,
                cwd=Path(folder), settings=("merge.conflictStyle=merge",), fine=_MARKS,
            )  # fmt: skip
        except git.GitError:
            return None


def has_conflicts(content: bytes) -> bool:
    """Tell whether a text holds a conflict block, whoever wrote it."""
    return bool(_BEGIN.search(content) and _END.search(content))
