"""A runtime that runs nothing: it records the commands and plays what each would have printed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tao_hf.runtime.interface import Completed, Runtime


@dataclass
class Reply:
    """What a command prints, how it ends, and what it writes (`effect`)."""

    returncode: int = 0
    lines: Sequence[str] = ()
    effect: Callable[[], None] = lambda: None


@dataclass
class FakeRuntime(Runtime):
    """Sees the working directory as /workspace, as a container would.

    Attributes:
        workdir: the working directory on the host.
        replies: by a word of the command (the last match wins), the reply to it.
        calls: (context, argv, cwd) of every command.
        kind: what it says it is.
        gpu: whether it has one.
        standing_in: names of the stand-ins it uses.
        closed: whether close() was called.
    """

    workdir: Path
    replies: Mapping[str, Reply | BaseException] = field(default_factory=dict)
    calls: list[tuple[str, list[str], Path]] = field(default_factory=list)
    kind: str = "local"
    gpu: bool = False
    standing_in: Sequence[str] = ("tensorrt", "eff")
    closed: bool = False

    def prepare(self) -> None:
        """Do nothing."""

    def run(
        self, argv, *, context, workdir=None, env=None, cwd=None, log=None, on_line=None, timeout=None
    ) -> Completed:
        """Record the command and play its reply."""
        assert workdir == self.workdir
        self.calls.append((context, list(argv), cwd))
        matching = [reply for word, reply in self.replies.items() if any(word in part for part in argv)]
        reply = matching[-1] if matching else Reply()
        if isinstance(reply, BaseException):
            raise reply
        for line in reply.lines:
            on_line(line)
        reply.effect()
        return Completed(reply.returncode, 0.0, "\n".join(reply.lines))

    def shell(self, context: str, workdir: Path) -> int:
        """Record it."""
        self.calls.append((context, ["shell"], workdir))
        return 0

    def path(self, host_path: Path | str) -> str:
        """Return the path below /workspace."""
        return f"/workspace/{Path(host_path).relative_to(self.workdir).as_posix()}".rstrip("/.")

    def stand_ins(self, workdir: Path) -> list[str]:
        """Return their names."""
        return list(self.standing_in)

    def close(self) -> None:
        """Remember it."""
        self.closed = True
