"""What a step is made of, and the run of a model's test that steps work on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.runtime import engine
from tao_hf.runtime.interface import Runtime

HOST = "host"


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
        stand_ins: names of the stand-ins in use, None until the runtime was asked.
        figures: by the step's `figure`, what it found: "engine" (its builder and executor), "native" and "deployed"
            (results.json), "fp32" and "fp16" (images, agreement, max_abs_diff, precision of the comparison),
            "int8" (metric, native, deployed, loss, kept, images).
    """

    workdir: Path
    info: dict[str, Any]
    runtime: Runtime
    data: Path | None = None
    settings: Sequence[str] = ()
    stand_ins: list[str] | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

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
        """Where the chain from training to the evaluation of the engine writes."""
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

    def log(self, name: str) -> str:
        """Return a file among the logs as code inside the runtime sees it."""
        return self.inside(".tao-hf", self.model, "logs", name)

    def result(self, *parts: str) -> str:
        """Return a path among the results as code inside the runtime sees it."""
        return self.inside(".tao-hf", self.model, "results", *parts)

    @staticmethod
    def tool(module: str) -> list[str]:
        """Return the command that starts a module of `tao_hf.in_runtime`, such as ``check.lint``, in the runtime."""
        return ["python", "-m", f"tao_hf.in_runtime.{module}"]


@dataclass(frozen=True)
class Command:
    """One command of a step; `context` and `cwd` default to the step's context and the results folder."""

    argv: list[str]
    context: str | None = None
    cwd: Path | None = None


@dataclass(frozen=True)
class HostTask:
    """Work that this process does itself: `run` is given what takes each line of output, and raises StepError."""

    title: str
    run: Callable[[Callable[[str], None]], None]


@dataclass(frozen=True)
class Step:
    """One step of the test.

    Attributes:
        id: the step's number in the porting procedure, with a part behind a point; names its log.
        title: what a person reads.
        context: "pytorch" or "deploy", for commands that name none; "host" when no command runs in the runtime.
        commands: what runs, one after the other, all of them even when one fails.
        gate: reads the artifacts and raises StepError, or returns a short note on what it found (may be empty).
        needs: ids of the steps without which this one cannot work, all of them earlier ones.
        also_in: the other contexts that its commands name.
        figure: the key in `Job.figures` under which the gate leaves what it measured, "" when it measures nothing.
        quick: whether the quick test runs it too.
        explains: whether the gate tells better than the last line of output why a command failed.
        docker_only: whether it is about containers, and means nothing elsewhere.
        needs_gpu: whether it uses TensorRT, which without a GPU only our stand-in can replace.
        needs_data: whether it says something only of a dataset of the person's own.
        precondition: whether it is run along with selected steps that need it, unless it has passed already.
        optional: whether it runs only when it is selected by its number.
    """

    id: str
    title: str
    context: str
    commands: Callable[[Job], Sequence[Command | HostTask]]
    gate: Callable[[Job], str]
    needs: tuple[str, ...] = ()
    also_in: tuple[str, ...] = ()
    figure: str = ""
    quick: bool = False
    explains: bool = False
    precondition: bool = False
    docker_only: bool = False
    needs_gpu: bool = False
    needs_data: bool = False
    optional: bool = False

    @property
    def level(self) -> str:
        """The least test that runs it: "quick", "full" or "optional"."""
        return "optional" if self.optional else "quick" if self.quick else "full"

    @property
    def images(self) -> tuple[str, ...]:
        """The images in which its commands run with Docker; empty for what runs on the host."""
        return tuple(engine.prepared(name) for name in (self.context, *self.also_in) if name != HOST)


def needs_file(path: Path, what: str) -> Path:
    """Return `path`; MissingArtifactError naming it and `what` it is unless it is a file with content."""
    if not path.is_file() or path.stat().st_size == 0:
        raise MissingArtifactError(f"{what} is missing or empty: {path.name}")
    return path


def clear(path: Path) -> None:
    """Remove what an earlier run left at `path`, so that it cannot pass for this one's result."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StepError(
            f"{path} of an earlier run cannot be removed ({error.strerror}); run ./tao-hf clean first"
        ) from error
