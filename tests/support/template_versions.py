"""Versions of the template, each with its git tag, for tests of updates."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from tao_hf.rendering import layers
from tests.support.paths import ROOT

# The layers of the classifiers that tests update, the last first.
LAYERS = ("tasks/image_classification", "networks/backbone", "template")
FIRST = "0.1.0"
_IDENTITY = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false")


class Template:
    """A git repository of the template, with a tag for every version.

    Attributes:
        path: The repository.
        versions: Its tags, the oldest first.
    """

    def __init__(self, path: Path) -> None:
        """Copy the template as it is on the disk (what git tracks, and what it would) to `path` as version `FIRST`."""
        self.path = path
        self.versions: list[str] = []
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        self._git("init", "--quiet", "--initial-branch=main")
        self._commit(FIRST)

    @classmethod
    def of(cls, other: Template, path: Path) -> Template:
        """Return a copy of `other` that a test may add versions to."""
        shutil.copytree(other.path, path, symlinks=True)
        new = cls.__new__(cls)
        new.path, new.versions = path, list(other.versions)
        return new

    def files(self, name: str) -> list[Path]:
        """Return the templates of a generated file, what others extend last.

        Args:
            name: Its path relative to the working directory, with ``MODEL`` for the model's name, such as
                ``tao-pytorch/nvidia_tao_pytorch/cv/MODEL/utils/optimization.py``.
        """
        path = name.replace("MODEL", "{{model_name}}")
        found = [layers.files_of_layer(self.path, layer).get(path) for layer in LAYERS]
        return [self.path / file.source for file in found if file]

    def add(self, name: str, text: str = "# new in this version\n") -> None:
        """Add a generated file (`name` as for `files`)."""
        assert not self.files(name), f"the template has {name} already"
        path = self.path / "template" / (name.replace("MODEL", "{{model_name}}") + ".jinja")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        """Append to the template of a generated file."""
        with self.files(name)[-1].open("a", encoding="utf-8") as file:
            file.write(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text, which must be there, in the templates of a generated file."""
        texts = {path: path.read_text(encoding="utf-8") for path in self.files(name)}
        assert any(old in text for text in texts.values()), f"the template of {name} has no {old!r}"
        for path, text in texts.items():
            path.write_text(text.replace(old, new), encoding="utf-8")

    def drop(self, name: str) -> None:
        """Remove the templates of a generated file."""
        for path in self.files(name):
            path.unlink()

    def release(self, change: Callable[[Template], object] | None = None, version: str = "") -> str:
        """Change the template, commit and tag that; return the tag.

        Args:
            change: Edits the tree.
            version: The tag; without it the one after the newest: 0.2.0, 0.3.0 and so on.
        """
        if change:
            change(self)
        if not version:
            major, minor, _ = self.versions[-1].split(".")
            version = f"{major}.{int(minor) + 1}.0"
        self._commit(version)
        return version

    def copy(
        self, workdir: Path, hf_model: Path | str, version: str = FIRST, env: Mapping[str, str] | None = None,
        **answers: object,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run ``copier copy`` at a version, as ``copies.copier_copy`` does; output and errors are merged."""
        given = {
            "hf_model_id": hf_model, "runtime": "local", "tao_source": "embedded", "run_tests": "none", **answers,
        }  # fmt: skip
        data = [part for name, value in given.items() for part in ("--data", f"{name}={value}")]
        return run(
            [*COPIER, "copy", "--trust", "--defaults", "--vcs-ref", version, *data, str(self.path), str(workdir)],
            env=env,
        )

    def _commit(self, version: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", version)
        self._git("tag", version)
        self.versions.append(version)

    def _git(self, *args: str) -> None:
        subprocess.run(["git", *_IDENTITY, *args], cwd=self.path, check=True, capture_output=True)


COPIER = (sys.executable, "-m", "copier")


def update(workdir: Path, *options: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``copier update`` in a working directory as a person would; output and errors come back merged."""
    return run([*COPIER, "update", "--trust", "--defaults", *options], cwd=workdir, env=env)


def tao_hf(workdir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``./tao-hf`` in a working directory; output and errors come back merged."""
    return run([sys.executable, str(workdir / "tao-hf"), *arguments], cwd=workdir, env=env)


def run(
    command: Iterable[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal."""
    return subprocess.run(
        list(command), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


@pytest.fixture(scope="session")
def first_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Return the template with its version `FIRST` alone; do not change it."""
    return Template(tmp_path_factory.mktemp("template") / "tao-hf-template")


@pytest.fixture
def template(first_template: Template, tmp_path: Path) -> Template:
    """Return the template with its version `FIRST`, to add versions to."""
    return Template.of(first_template, tmp_path / "template")
