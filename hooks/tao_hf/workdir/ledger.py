"""The ledger: a git repository in the working directory that remembers what was generated and what was on the disk.

The generated files lie inside other git repositories, the clones, and stay ordinary files of those. The ledger only
stores copies. For every model it has two branches:

- ``template/MODEL``: what the template rendered, one commit per version, with the answers;
- ``ledger/MODEL``: what was on the disk, before and after every operation; a merge of the former where there was one.

Its own branch, index and working tree stay empty, so that `copier update`, which asks for a clean repository, finds
one whatever a person edits. The ledger has no remote.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.base import atomic, git
from tao_hf.base.errors import UserError

_IDENTITY = "tao-hf-template <tao-hf-template@localhost>"
_MARK = "tao-hf-ledger"  # a file in its git directory, which tells it from a repository of the person's
_PLAIN = ("core.hooksPath=/dev/null", "core.autocrlf=false", "gc.auto=0")
_ABOUT = """\
Ledger of tao-hf-template

It keeps what the template generated (branches template/MODEL) and what was on the disk before and after every copy
and update (branches ledger/MODEL), so that an update loses nothing and can be undone. Look with
git log --graph --stat --all. It has no remote and is not meant to be pushed.
"""


@dataclass(frozen=True)
class Commit:
    """A commit: its message, its parents (ids, or indices into the same list of commits), and its files by path."""

    message: str
    parents: tuple[str | int, ...]
    files: Mapping[str, bytes] = field(repr=False)


class Ledger:
    """The ledger of one working directory."""

    def __init__(self, workdir: Path) -> None:
        """Take the ledger of `workdir`; nothing is read or written yet."""
        self.workdir = workdir
        self._how: dict[str, Any] = {"cwd": workdir, "settings": _PLAIN, "timeout": 300}

    def exists(self) -> bool:
        """Tell whether there is one.

        Raises:
            UserError: The working directory is a git repository of the person's own, or the ledger is broken.
        """
        if not git.is_clone(self.workdir):
            return False
        if not (self.workdir / ".git" / _MARK).is_file():
            raise UserError(
                f"{self.workdir} is a git repository of its own, and the template keeps its ledger there; choose a "
                "folder that is none (links to your clones in it will do)."
            )
        return True

    def create(self) -> None:
        """Make the ledger, whole or not at all, where there is none."""
        if self.exists():
            return
        with tempfile.TemporaryDirectory(prefix=atomic.SCRATCH, dir=self.workdir) as scratch:
            new = Ledger(Path(scratch))
            git.run("init", "--quiet", "--template=", "--initial-branch=main", **new._how)
            (new.workdir / ".git" / _MARK).write_text(_ABOUT)
            exclude = new.workdir / ".git" / "info" / "exclude"
            exclude.parent.mkdir(exist_ok=True)
            exclude.write_text("# The clones and what is generated into them are no business of this repository.\n*\n")
            new._import("refs/heads/main", [Commit(_ABOUT, (), {})])
            (new.workdir / ".git").rename(self.workdir / ".git")

    def tip(self, ref: str) -> str | None:
        """Return the commit that `ref` (such as ``ledger/vit`` or a full name) points to, `None` when there is none."""
        try:
            name = f"{_full(ref)}^{{commit}}"
            return git.run("rev-parse", "--verify", "--quiet", name, **self._how).decode().strip()
        except git.GitError:
            return None

    def parents(self, commit: str) -> list[str]:
        """Return the parents of `commit`, the first one first."""
        return git.run("rev-parse", f"{commit}^@", **self._how).decode().split()

    def message(self, commit: str) -> str:
        """Return the message of `commit`."""
        return git.run("cat-file", "commit", commit, **self._how).decode("utf-8", "replace").partition("\n\n")[2]

    def files(self, commit: str) -> dict[str, bytes]:
        """Return the files of `commit` by path."""
        listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit, **self._how).split(b"\0")[:-1]
        rows = [row.partition(b"\t") for row in listed]
        names = {name.decode("utf-8"): head.split()[2] for head, _, name in rows}
        packed = git.run("cat-file", "--batch", stdin=b"".join(blob + b"\n" for blob in names.values()), **self._how)
        files, at = {}, 0
        for name in names:
            start = packed.index(b"\n", at) + 1
            size = int(packed[at:start].split()[2])
            files[name] = packed[start : start + size]
            at = start + size + 1
        return files

    def write(self, ref: str, commits: Iterable[Commit]) -> list[str]:
        """Write `commits` and let `ref` point to the last one; return their ids.

        All are written or none is: `ref` moves when the last one is on the disk.
        """
        return self._import(_full(ref), list(commits))

    def move(self, refs: Mapping[str, str | None]) -> None:
        """Let each of `refs` point to the given commit (`None`: be gone), all of them or none."""
        lines = [f"update {_full(ref)} {commit}" if commit else f"delete {_full(ref)}" for ref, commit in refs.items()]
        wanted = "".join(line + "\n" for line in lines).encode()
        git.run("update-ref", "--stdin", "--no-deref", stdin=wanted, **self._how)

    def staged(self) -> list[str]:
        """Return what a person has put into the ledger's index, which Copier refuses to update over."""
        listed = git.run("status", "--porcelain", "-z", "--untracked-files=no", **self._how)
        return [row[3:] for row in listed.decode("utf-8", "replace").split("\0") if row]

    def _import(self, ref: str, commits: list[Commit]) -> list[str]:
        stream: list[bytes] = [b"feature done\n"]
        now = int(time.time())
        for mark, commit in enumerate(commits, start=1):
            message = commit.message.encode("utf-8")
            if not commit.parents:
                stream.append(b"reset %s\n" % ref.encode())  # else it would go on from the commit before
            stream.append(b"commit %s\nmark :%d\n" % (ref.encode(), mark))
            stream.append(f"committer {_IDENTITY} {now} +0000\n".encode())
            stream.append(b"data %d\n%s\n" % (len(message), message))
            for place, parent in enumerate(commit.parents):
                name = f":{parent + 1}" if isinstance(parent, int) else parent
                stream.append(f"{'merge' if place else 'from'} {name}\n".encode())
            stream.append(b"deleteall\n")
            for path, content in sorted(commit.files.items()):
                stream.append(b"M 100644 inline %s\ndata %d\n" % (_quoted(path), len(content)))
                stream.append(content + b"\n")
        stream += [b"get-mark :%d\n" % mark for mark in range(1, len(commits) + 1)]
        stream.append(b"done\n")
        options = ("--quiet", "--force", "--date-format=raw-permissive")
        return git.run("fast-import", *options, stdin=b"".join(stream), **self._how).decode().split()


def _full(ref: str) -> str:
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"


def _quoted(path: str) -> bytes:
    """Return a path as fast-import reads it whatever is in it."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()
