"""Small git repositories for tests, and a git configuration of their own instead of the machine's."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

GITHUB = "https://github.com/NVIDIA-TAO"
TAO_PYTORCH_URL = f"{GITHUB}/tao-pytorch"


def git(path: Path, *args: str) -> str:
    """Run git in `path` and return its output."""
    done = subprocess.run(["git", *args], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(path: Path, content: str = "") -> Path:
    """Write a file, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def commit_all(path: Path, message: str = "work") -> str:
    """Commit everything in `path` (making it a repository when it is none) and return the commit."""
    if not (path / ".git").exists():
        git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", message)
    return git(path, "rev-parse", "HEAD")


SETUP = """import setuptools

setuptools.setup(
    name="{name}",
    entry_points={{
        'console_scripts': [
            'old_model={package}.cv.old_model.entrypoint.old_model:main',
        ]
    }},
)
"""
BACKBONES = '''"""Backbones."""
from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY

from nvidia_tao_pytorch.cv.backbone_v2.net import (
    net_tiny,
)

__all__ = [
    "BACKBONE_REGISTRY",
    "net_tiny",
]
'''
NET = """from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY


@BACKBONE_REGISTRY.register()
def net_tiny():
    pass


@BACKBONE_REGISTRY.register()
def net_hidden():
    pass


@OTHER_REGISTRY.register()
def not_a_backbone():
    pass
"""


def fill(path: Path, name: str) -> Path:
    """Lay out a small repository like the TAO one of that name (no git) and return it."""
    package = {
        "tao-core": "nvidia_tao_core",
        "tao-pytorch": "nvidia_tao_pytorch",
        "tao-deploy": "nvidia_tao_deploy",
        "tao-dataservices": "nvidia_tao_ds",
    }[name]
    write(path / package / "__init__.py")
    write(path / "release/python/version.py", 'MAJOR = "6"\nMINOR = "5"\nPATCH = "4"\nPRE_RELEASE = ""\n')
    if name == "tao-core":
        write(path / package / "config/__init__.py")
        write(path / package / "config/classification_pyt/default_config.py", "class ExperimentConfig: pass\n")
        return path
    if name == "tao-dataservices":
        write(path / package / "annotations/conversion/coco_to_kitti.py")
        write(path / package / "annotations/conversion/mapping.py")
        return path
    write(path / "setup.py", SETUP.format(name=name, package=package))
    model = path / package / "cv/classification_pyt"
    write(path / package / "cv/__init__.py")
    write(model / "scripts/__init__.py")
    if name == "tao-deploy":
        write(model / "scripts/gen_trt_engine.py")
        return path
    write(model / "entrypoint/__init__.py")
    write(model / "entrypoint/classification.py")
    write(model / "model/classifier.py", "def build_model():\n    pass\n")
    write(model / "scripts/train.py")
    write(path / package / "cv/backbone_v2/__init__.py", BACKBONES)
    write(path / package / "cv/backbone_v2/net.py", NET)
    write(path / package / "ssl/mae/__init__.py")
    return path


@pytest.fixture
def own_git(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give git an empty home and configuration with an identity; returns the configuration file."""
    home = tmp_path_factory.mktemp("home")
    config = write(home / "gitconfig", "[user]\n\tname = T\n\temail = t@example.org\n[init]\n\tdefaultBranch = main\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY"))]:
        monkeypatch.delenv(name)
    return config


@functools.cache
def real_tao_pytorch() -> Path | None:
    """Return a clone of the public tao-pytorch, made once per test run; `None` when it cannot be had."""
    folder = Path(tempfile.mkdtemp(prefix="tao-pytorch-"))
    command = ["git", "clone", "--quiet", TAO_PYTORCH_URL, str(folder / "tao-pytorch")]
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": ""}
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300, env=env)
    except (subprocess.SubprocessError, OSError):
        return None
    return folder / "tao-pytorch"


@pytest.fixture(scope="session")
def tao_pytorch_clone() -> Path:
    """Give the real tao-pytorch, or skip saying so."""
    clone = real_tao_pytorch()
    if clone is None:
        pytest.skip(f"NOT TESTED AGAINST THE REAL tao-pytorch: {TAO_PYTORCH_URL} cannot be cloned here")
    return clone


def with_tao_pytorch(workdir: Path, clone: Path) -> str:
    """Make a working directory with a person's own clone of tao-pytorch in it; return the branch it is on."""
    workdir.mkdir()
    subprocess.run(["git", "clone", "-q", str(clone), str(workdir / "tao-pytorch")], check=True)
    shown = subprocess.run(
        ["git", "branch", "--show-current"], cwd=workdir / "tao-pytorch", check=True, capture_output=True, text=True
    )
    return shown.stdout.strip() or "main"


@pytest.fixture(scope="session")
def public_history(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give what makes a bare clone with every commit of a TAO repository, once, or skips saying why it cannot.

    Where the server leaves files out, git fetches those that are asked for.
    """
    folder = tmp_path_factory.mktemp("history")
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "LC_ALL": "C"}
    refused: dict[str, str] = {}

    def clone(name: str) -> Path:
        path, url = folder / name, f"{GITHUB}/{name}"
        if not path.exists() and name not in refused:
            command = ["git", "clone", "--quiet", "--bare", "--filter=blob:none", url, str(path)]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=env)
            except subprocess.CalledProcessError as error:
                refused[name] = error.stderr.strip()
            except (subprocess.SubprocessError, OSError) as error:
                refused[name] = str(error)
        if name in refused:
            pytest.skip(f"NOT TESTED AGAINST THE HISTORY OF {name}: {url} cannot be cloned here ({refused[name]})")
        return path

    return clone
