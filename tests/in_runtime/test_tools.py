"""The small scripts that run inside the runtime beside the checks: spec files and the synthetic dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import trees
from tests.support.paths import HOOKS
from tests.support.trees import MODEL

TOOLS = "tao_hf.in_runtime.tools"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rendered working directory."""
    return trees.build(tmp_path_factory.mktemp("work"))


def write_specs(workdir: Path, tmp_path: Path, settings: list[str]) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Merge settings into the training spec; return the process and the spec's path."""
    out = tmp_path / "specs" / "experiment_spec.yaml"
    base = workdir / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml"
    values = {"results_dir": "/r/two words", "train.gpu_ids": [0], "train.num_epochs": 1, "dataset.workers": 0}
    job = {"model": MODEL, "settings": settings, "specs": [{"base": str(base), "out": str(out), "values": values}]}
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", f"{TOOLS}.specs", str(tmp_path / "job.json")],
        env={**os.environ, "PYTHONPATH": f"{HOOKS}:{workdir / 'tao-core'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, out


def test_values_with_blanks_brackets_and_numbers_survive_and_the_person_has_the_last_word(
    workdir: Path, tmp_path: Path
) -> None:
    settings = [
        "train.num_epochs=3", "train.optim.lr=1e-3", "model.head.topk=[1, 3]", "dataset.augmentation.mixup_cutmix=true",
        "model.backbone.pretrained_backbone_path=/my files/a [b].pth",
    ]  # fmt: skip
    done, out = write_specs(workdir, tmp_path, settings)
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert spec["results_dir"] == "/r/two words"
    assert (spec["train"]["num_epochs"], spec["train"]["gpu_ids"], spec["dataset"]["workers"]) == (3, [0], 0)
    assert float(spec["train"]["optim"]["lr"]) == 1e-3
    assert spec["model"]["head"]["topk"] == [1, 3]
    assert spec["dataset"]["augmentation"]["mixup_cutmix"] is True
    assert spec["model"]["backbone"]["pretrained_backbone_path"] == "/my files/a [b].pth"
    assert spec["dataset"]["augmentation"]["mean"] == [0.5, 0.4, 0.3]  # the rest of the spec is as it was
    assert "results_dir}" in spec["export"]["onnx_file"]  # references stay references


@pytest.mark.parametrize("setting", ["train.epochs=3", "train.num_epochs=many", "nothing.at=all"])
def test_a_setting_that_the_schema_does_not_know_is_one_sentence(workdir: Path, tmp_path: Path, setting: str) -> None:
    done, out = write_specs(workdir, tmp_path, [setting])
    assert done.returncode == 1
    assert setting in done.stdout and "Traceback" not in done.stderr + done.stdout
    assert not out.exists()


CENTROIDS = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
root, mode = Path(sys.argv[1]), sys.argv[2]
names = (root / "classes.txt").read_text().split()
def features(split):
    for label, name in enumerate(names):
        for path in sorted((root / split / name).iterdir()):
            image = Image.open(path)
            assert image.mode == mode, image.mode
            assert image.size == (36, 27), image.size
            yield label, np.asarray(image, dtype=float).reshape(27 * 36, -1).mean(0)
train = list(features("train"))
centres = [np.mean([f for l, f in train if l == label], axis=0) for label in range(len(names))]
test = list(features("test"))
right = [np.argmin([np.linalg.norm(f - c) for c in centres]) == label for label, f in test]
print(len(train), len(test), np.mean(right))
"""


@pytest.mark.runtime
@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (1, "L")])
def test_the_synthetic_dataset_can_be_learned_and_is_the_same_every_time(
    runtime_python: Path, tmp_path: Path, channels: int, mode: str
) -> None:
    for name in ("first", "second"):
        subprocess.run(
            [runtime_python, "-m", f"{TOOLS}.dataset", "image-classification", tmp_path / name, "--classes", "4",
             "--height", "24", "--width", "32", "--channels", str(channels)],
            check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(HOOKS)},
        )  # fmt: skip
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert all((tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes() for file in files)
    done = subprocess.run(
        [runtime_python, "-c", CENTROIDS, tmp_path / "first", mode], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    train, test, accuracy = done.stdout.split()
    assert (int(train), int(test)) == (32, 16)
    assert float(accuracy) >= 0.9


BAD = """
import torch
from nvidia_tao_pytorch.cv.{model}.utils.config import not_there

print(undefined_name)


def two(first, second):
    return first + second


two(1)
"""


@pytest.mark.runtime
def test_lint_finds_errors_in_generated_code_and_accepts_the_template_s(
    runtime_python: Path, workdir: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(BAD.format(model=MODEL), encoding="utf-8")
    utils = workdir / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils/config.py"
    found = {}
    for file in (bad, utils):
        done = subprocess.run(
            [runtime_python, "-m", "tao_hf.in_runtime.check.lint", file],
            cwd=workdir, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": f"{workdir / 'tao-core'}:{workdir / 'tao-pytorch'}:{HOOKS}"},
        )  # fmt: skip
        found[file] = (done.returncode, sorted(word for word in done.stdout.split() if word.startswith("E")))
    assert found[bad] == (2, ["E0602:", "E0611:", "E1120:"])
    assert found[utils] == (0, [])
