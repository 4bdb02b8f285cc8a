"""Building a clone's wheel without a trace in the clone, and what goes into the context of a release image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine, release_image
from tests.support.paths import HOOKS

# What setuptools does with these arguments, as far as the script can tell.
SETUP = """
import pathlib, sys, zipfile
values = dict(zip(sys.argv, sys.argv[1:]))
pathlib.Path(values["--egg-base"], "made.egg-info").mkdir()
pathlib.Path(values["--build-base"]).mkdir()
dist = pathlib.Path(values["--dist-dir"])
dist.mkdir()
with zipfile.ZipFile(dist / "made-1.0-py3-none-any.whl", "w") as archive:
    archive.writestr("made.py", "")
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone whose setup.py writes a wheel."""
    folder = tmp_path / "tao-pytorch"
    folder.mkdir()
    (folder / "setup.py").write_text(SETUP, encoding="utf-8")
    return folder


def build(clone: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], dict | None]:
    """Run the script; return how it ended and the record it wrote."""
    record = clone.parent / "record.json"
    record.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "tao_hf.in_runtime.tools.wheel", str(clone), "--json", str(record)]
    env = {**os.environ, "PYTHONPATH": str(HOOKS), "CUDA_HOME": "/nonexistent", **variables}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    return done, json.loads(record.read_text(encoding="utf-8")) if record.exists() else None


def test_nothing_but_the_wheel_is_left_in_the_clone(clone: Path) -> None:
    mine = clone / "build" / "lib" / "mine.py"
    mine.parent.mkdir(parents=True)
    mine.touch()
    done, record = build(clone)
    assert done.returncode == 0, done.stderr
    assert record == {"wheel": "made-1.0-py3-none-any.whl", "reason": ""}
    assert sorted(path.name for path in clone.iterdir()) == ["build", "dist", "setup.py"]
    assert mine.exists() and zipfile.is_zipfile(clone / "dist" / record["wheel"])


def test_a_setup_that_fails_or_makes_nothing_fails(clone: Path) -> None:
    (clone / "setup.py").write_text("raise SystemExit('error: no compiler')\n", encoding="utf-8")
    done, record = build(clone)
    assert done.returncode == 1 and "no compiler" in done.stderr and record is None
    (clone / "setup.py").write_text("", encoding="utf-8")
    assert build(clone)[0].returncode == 1
    assert not (clone / "dist").exists()


def test_cuda_code_without_its_compiler_is_not_tried(clone: Path, tmp_path: Path) -> None:
    (clone / "setup.py").write_text("from torch.utils.cpp_extension import BuildExtension\n" + SETUP, encoding="utf-8")
    done, record = build(clone, PATH=str(tmp_path))
    assert done.returncode == 0
    assert record["wheel"] is None and "nvcc" in record["reason"] and "nvcc" in done.stdout
    (tmp_path / "cuda" / "bin").mkdir(parents=True)
    (tmp_path / "cuda" / "bin" / "nvcc").touch()
    done, record = build(clone, PATH=str(tmp_path), CUDA_HOME=str(tmp_path / "cuda"))
    assert done.returncode == 1 and "torch" in done.stderr, "tried, and torch is not here"


# ---------------------------------------------------------------- release images


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a working directory with a clone for a release image, a stale tao-core nested in it."""
    files = {
        "tao-core/nvidia_tao_core/ours.py": "",
        "tao-core/.git/config": "",
        "tao-deploy/release/docker/Dockerfile.release": "FROM scratch",
        "tao-deploy/nvidia_tao_deploy/__init__.py": "",
        "tao-deploy/nvidia_tao_deploy/__pycache__/x.pyc": "",
        "tao-deploy/tao-core/STALE": "",
        "tao-deploy/.git/config": "token",
        "tao-deploy/dist/old-1.0.whl": "",
        "tao-deploy/dist/new-1.1.whl": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a docker on PATH that keeps its arguments and standard input; return the folder it keeps them in."""
    folder = tmp_path_factory.mktemp("docker")
    program = folder / "docker"
    program.write_text(
        f"#!/bin/sh\n[ $1 = version ] && echo amd64 && exit\necho \"$@\" > {folder}/arguments\n"
        f"cat > {folder}/context.tar\necho Step 1/1 : FROM scratch\nexit ${{FAIL:-0}}\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_context_carries_the_top_level_tao_core_and_the_new_wheel_alone(
    workdir: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_HF_IMAGE_TAG", "selftest")
    monkeypatch.setenv("HTTPS_PROXY", "http://person:secret@proxy")
    lines: list[str] = []
    release_image.build(workdir, "tao-deploy", workdir / "tao-deploy/dist/new-1.1.whl", lines.append)
    with tarfile.open(docker / "context.tar") as context:
        files = {entry.name for entry in context if entry.isfile()}
    assert files == {
        "dist/new-1.1.whl",
        "nvidia_tao_deploy/__init__.py",
        "release/docker/Dockerfile.release",
        "tao-core/nvidia_tao_core/ours.py",
    }
    arguments = (docker / "arguments").read_text(encoding="utf-8")
    assert "--tag tao-deploy-release:selftest -" in arguments and "--network host" in arguments
    assert "--build-arg TARGETARCH=amd64" in arguments and "--build-arg HTTPS_PROXY " in arguments
    assert "secret" not in arguments + "".join(lines)
    assert lines[-1] == "Step 1/1 : FROM scratch"
    first = (docker / "context.tar").read_bytes()[:512]
    assert tarfile.TarInfo.frombuf(first, "utf-8", "strict").isdir(), "docker looks at the first block alone"


def test_a_build_that_fails_and_a_clone_without_a_dockerfile_are_said(
    workdir: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = workdir / "tao-deploy/dist/new-1.1.whl"
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(UserError, match=r"could not build tao-deploy-release:\S+ \(exit code 1\)"):
        release_image.build(workdir, "tao-deploy", wheel, print)
    (workdir / "tao-pytorch").mkdir()
    with pytest.raises(UserError, match="tao-pytorch has no release/docker/Dockerfile"):
        release_image.build(workdir, "tao-pytorch", wheel, print)


def test_docker_may_not_send_an_image_anywhere() -> None:
    for subcommand in ("push", "tag", "save"):
        with pytest.raises(ValueError, match=subcommand):
            engine.command(subcommand)
