"""The one interface behind which models are inspected, trained and tested: an interpreter that is not the host's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTEXTS = ("inspect", "pytorch", "deploy")


@dataclass(frozen=True)
class Completed:
    """How a command ended.

    Attributes:
        returncode: the exit status; 124 when the time limit was reached, -N when killed by signal N.
        seconds: wall time.
        tail: the last lines of its output (at most 40).
    """

    returncode: int
    seconds: float
    tail: str


class Runtime(ABC):
    """A place with torch, transformers and TAO's dependencies in which commands run.

    Each kind is one module, named in `tao_hf.runtime.kinds`.
    """

    kind: str

    @property
    @abstractmethod
    def gpu(self) -> bool:
        """Whether commands can use an NVIDIA GPU."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the runtime usable, showing progress; does nothing when it is.

        Raises:
            UserError: when it cannot be made usable.
        """

    @abstractmethod
    def run(
        self,
        argv: Sequence[str],
        *,
        context: str,
        workdir: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run one command to its end.

        Args:
            argv: the command; "python" as its first word means the runtime's interpreter. Host paths in it must have
                gone through `path()`.
            context: "inspect", "pytorch" or "deploy": which packages and console scripts the command sees.
            workdir: the person's working directory; without it no TAO package is visible.
            env: variables set on top of the runtime's own.
            cwd: directory (on the host) to run in; default: workdir, else the current one.
            log: file that receives standard output and error, merged, line by line as they come.
            on_line: called with each line.
            timeout: seconds after which the command and its children are killed.
        """

    @abstractmethod
    def shell(self, context: str, workdir: Path) -> int:
        """Open an interactive shell with the commands of `context` ("pytorch" or "deploy"); return its exit status."""

    @abstractmethod
    def path(self, host_path: Path | str) -> str:
        """Return how code inside the runtime names a path of the host."""

    @abstractmethod
    def stand_ins(self, workdir: Path) -> list[str]:
        """Return the names of the stand-in modules that runs in `workdir` use because the real ones are missing."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `prepare` holds; the runtime may be prepared again."""
