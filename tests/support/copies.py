"""Working directories made by the real ``copier copy`` from small Hugging Face models on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.paths import ROOT, in_runtime

MODEL = "tiny_vit"

MAKE_VIT = """
import json, sys
import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
folder, labels, size, patch = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(0)
config = ViTConfig(image_size=size, patch_size=patch, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                   intermediate_size=64, id2label=dict(enumerate(labels)),
                   label2id={name: index for index, name in enumerate(labels)})
ViTForImageClassification(config).save_pretrained(folder)
height, width = size if isinstance(size, list) else (size, size)
ViTImageProcessor(size={"height": height, "width": width}).save_pretrained(folder)
"""


def make_vit(python: Path, folder: Path, labels: list[str], size: int | list[int] = 32, patch: int = 8) -> Path:
    """Save a small ViT classifier with random weights and return its folder.

    Args:
        python: An interpreter with transformers.
        folder: Where to save it.
        labels: Class names.
        size: Image size in pixels, one number or [height, width].
        patch: Patch size in pixels.
    """
    command = [str(python), "-c", MAKE_VIT, str(folder), json.dumps(labels), json.dumps(size), str(patch)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


def copier_copy(
    workdir: Path, hf_model: Path | str, env: Mapping[str, str] | None = None, template: Path = ROOT, **answers: object
) -> subprocess.CompletedProcess[str]:
    """Run ``copier copy`` as a person would, without a terminal; output and errors come back merged."""
    given = {
        "hf_model_id": hf_model, "runtime": "local", "tao_source": "embedded", "run_tests": "none", **answers,
    }
    data = [item for name, value in given.items() for item in ("--data", f"{name}={value}")]
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--vcs-ref", "HEAD"]
    return subprocess.run(
        [*command, *data, str(template), str(workdir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def snapshot(folder: Path, without: tuple[str, ...] = (".git", "bin", "logs", "__pycache__")) -> dict[str, str]:
    """Return a digest of every file below `folder` by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not set(path.relative_to(folder).parts) & set(without)
    }


@pytest.fixture(scope="session")
def tiny_vit(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small ViT classifier of ten classes, saved by ``save_pretrained``."""
    labels = [f"digit {index}" for index in range(10)]
    return make_vit(runtime_python, tmp_path_factory.mktemp("hf") / "tiny-vit", labels)


@pytest.fixture(scope="session")
def tiny_mask2former(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small random segmenter, which can be for more than one task."""
    folder = tmp_path_factory.mktemp("hf")
    make = [str(runtime_python), "-W", "ignore", "-m", "tests.support.models.instance_segmenters", str(folder)]
    env = {**os.environ, **in_runtime()}
    subprocess.run([*make, "mask2former"], check=True, capture_output=True, env=env)
    return folder / "mask2former"


@pytest.fixture(scope="session")
def copied(tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with `MODEL` in it; do not change it."""
    workdir = tmp_path_factory.mktemp("copied") / "workdir"
    done = copier_copy(workdir, tiny_vit, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    return workdir


@pytest.fixture(scope="session")
def copied_hf(tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with `MODEL` made with strategy hf; do not change it."""
    workdir = tmp_path_factory.mktemp("copied-hf") / "workdir"
    done = copier_copy(workdir, tiny_vit, model_name=MODEL, strategy="hf")
    assert done.returncode == 0, done.stdout
    return workdir


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process its own hooks back after Copier loaded those of the template's copy."""
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "tao_hf"}
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "tao_hf"]:
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def own_copy(copied: Path, tmp_path: Path) -> Path:
    """Return a copy of `copied` that a test may change."""
    return Path(shutil.copytree(copied, tmp_path / "workdir", symlinks=True))
