"""What a step is made of, and the run of a model's test that steps work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.runtime import Runtime


class StepError(Exception):
    """A step did not do what it should; the text says what is wrong, for the report."""


class MissingArtifactError(StepError):
    """What a step should have written is not there, so a failed command's own words say more."""


@dataclass
class Job:
    """One test run of one model: what to test, where, with what; steps leave their figures here.

    Attributes:
        workdir: the working directory, absolute.
        info: the model's model.json.
        runtime: where the commands run.
        data: the person's dataset folder, None for the synthetic one.
        settings: key=value settings for the model's specs.
        precision: "FP32" or "FP16", of the TensorRT engine.
        metrics: "native" and "deployed" results.json once evaluated.
        cross_check: images, agreement, max_abs_diff, precision once compared.
    """

    workdir: Path
    info: dict[str, Any]
    runtime: Runtime
    data: Path | None = None
    settings: Sequence[str] = ()
    precision: str = "FP32"
    metrics: dict[str, dict[str, float] | None] = field(default_factory=lambda: {"native": None, "deployed": None})
    cross_check: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        """Name of the model, also that of its console command."""
        return self.info["model_name"]

    @property
    def home(self) -> Path:
        """The model's folder under .tao-hf."""
        return self.workdir / ".tao-hf" / self.model

    @property
    def results(self) -> Path:
        """Where the chain train -> ... -> TensorRT evaluation writes."""
        return self.home / "results"

    @property
    def logs(self) -> Path:
        """Where each step's log and machine-readable results go."""
        return self.home / "logs"

    @property
    def dataset(self) -> Path:
        """The dataset in use."""
        return self.data or self.results / "data"

    def inside(self, *parts: str | Path) -> str:
        """Return a path in the working directory as code inside the runtime sees it."""
        return self.runtime.path(self.workdir.joinpath(*parts))

    def tool(self, name: str) -> str:
        """Return one of the scripts of tao_hf/inside as the runtime sees it."""
        return self.inside(".tao-hf", "lib", "tao_hf", "inside", name)


@dataclass(frozen=True)
class Command:
    """One command of a step; `context` and `cwd` default to the step's context and the results folder."""

    argv: list[str]
    context: str | None = None
    cwd: Path | None = None


@dataclass(frozen=True)
class Step:
    """One step of the test.

    Attributes:
        id: the step's number in the porting procedure, with a part behind a point; names its log.
        title: what a person reads.
        context: "inspect", "pytorch" or "deploy", for commands that name none.
        commands: what runs, one after the other, all of them even when one fails.
        gate: reads the artifacts and raises StepError, or returns a short note on what it found (may be empty).
        needs: ids of the steps without which this one cannot work.
        quick: whether the quick test runs it too.
        explains: whether the gate tells better than the last line of output why a command failed.
    """

    id: str
    title: str
    context: str
    commands: Callable[[Job], list[Command]]
    gate: Callable[[Job], str]
    needs: tuple[str, ...] = ()
    quick: bool = False
    explains: bool = False


def needs_file(path: Path, what: str) -> Path:
    """Return `path`; MissingArtifactError naming it and `what` it is unless it is a file with content."""
    if not path.is_file() or path.stat().st_size == 0:
        raise MissingArtifactError(f"{what} is missing or empty: {path.name}")
    return path
