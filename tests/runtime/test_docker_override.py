"""The three rules that make the top-level tao-core win over a nested one, each broken and caught; on a real engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime.container import Container, ContainerSettings
from tao_hf.runtime.docker import DockerRuntime
from tests.support.copies import MODEL

pytestmark = [pytest.mark.docker, pytest.mark.runtime, pytest.mark.usefixtures("engine", "prepared", "no_leftovers")]
NESTED = "/workspace/tao-pytorch/tao-core"


@pytest.fixture
def workdir(own_copy: Path) -> Path:
    """Return a working directory whose tao-pytorch carries a tao-core from before the model, as a submodule is."""
    nested = own_copy / "tao-pytorch" / "tao-core"
    shutil.copytree(own_copy / "tao-core", nested, ignore=shutil.ignore_patterns(".git", MODEL))
    return own_copy


class Broken(DockerRuntime):
    """A runtime whose containers are started or set up in another way."""

    def __init__(self, root: Path, changes: Mapping[str, object], install: Callable[[str], str]) -> None:
        """Change the fields of the settings, and every word of the installation."""
        super().__init__(root)
        self._changes, self._change = changes, install

    def _settings(self, context: str) -> ContainerSettings:
        settings = super()._settings(context)
        changes = dict(self._changes)
        if "variables" in changes:
            changes["variables"] = {**settings.variables, **changes["variables"]}
        return replace(settings, **changes)

    def _installation(self, context: str, container: Container) -> Iterator[Sequence[str]]:
        for argv in super()._installation(context, container):
            yield [self._change(word) for word in argv]


def prove(runtime: DockerRuntime, workdir: Path, context: str = "pytorch") -> tuple[int, str]:
    """Run the proof in a container and return its status and output."""
    lines: list[str] = []
    try:
        argv = ["python", "-m", "tao_hf.in_runtime.check.origin", "/workspace", MODEL, "--installed"]
        done = runtime.run(argv, context=context, workdir=workdir, on_line=lines.append)
    finally:
        runtime.close()
    return done.returncode, "\n".join(line for line in lines if "tao_core" in line or "tao-core" in line)


@pytest.mark.parametrize("context", ["pytorch", "deploy"])
def test_the_top_level_tao_core_wins(workdir: Path, context: str) -> None:
    """Installed first, first on the path, and the one that is imported, with a stale nested copy present."""
    installed: list[str] = []

    def note(word: str) -> str:
        installed.extend([word] if word.startswith("/workspace/tao-") else [])
        return word

    status, said = prove(Broken(workdir, {}, note), workdir, context)
    assert status == 0, said
    assert said.endswith("nvidia_tao_core comes from /workspace/tao-core")
    assert installed == ["/workspace/tao-core", f"/workspace/tao-{context}"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (f"{NESTED}:/workspace/tao-core:/workspace/tao-pytorch", f"nvidia_tao_core comes from {NESTED}, not from"),
        ("/workspace/tao-pytorch", "not from /workspace/tao-core: that must be first on PYTHONPATH"),
    ],
)
def test_tao_core_not_first_on_the_path(workdir: Path, path: str, problem: str) -> None:
    path = f"{path}:/workspace/.tao-hf/lib"  # our own tools
    status, said = prove(Broken(workdir, {"variables": {"PYTHONPATH": path}}, str), workdir)
    assert status == 1
    assert problem in said


def test_nested_tao_core_installed(workdir: Path) -> None:
    """PYTHONPATH hides it from imports, but a program started without PYTHONPATH would see the stale one."""
    status, said = prove(
        Broken(workdir, {}, lambda word: NESTED if word == "/workspace/tao-core" else word), workdir
    )
    assert status == 1
    assert f"the installed tao-core was built from {NESTED}, not from /workspace/tao-core" in said
    assert f"does not hold nvidia_tao_core.config.{MODEL}" in said


def test_tao_core_not_installed(workdir: Path) -> None:
    """Left out altogether: pip installs what is there already instead."""
    status, said = prove(Broken(workdir, {}, lambda word: "pip" if word == "/workspace/tao-core" else word), workdir)
    assert status == 1
    assert "tao-core is not installed" in said


def test_only_one_repository_mounted(workdir: Path) -> None:
    """With the repository alone at /workspace its own nested tao-core would be installed; the set-up fails instead."""
    with pytest.raises(UserError, match=r"could not be set up: .*/workspace/tao-pytorch does not appear"):
        prove(Broken(workdir, {"root": workdir / "tao-pytorch"}, str), workdir)


def test_schema_removed(workdir: Path) -> None:
    """A tao-core that does not know the model is caught although it is the right one."""
    shutil.rmtree(workdir / "tao-core" / "nvidia_tao_core" / "config" / MODEL)
    status, said = prove(DockerRuntime(workdir), workdir)
    assert status == 1
    assert f"nvidia_tao_core.config.{MODEL} cannot be imported" in said
