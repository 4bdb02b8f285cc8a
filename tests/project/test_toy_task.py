"""A task is a folder: one that is added at run time is offered, inspected, rendered and tested, nothing else edited."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tao_hf.answers import recorded
from tao_hf.base.paths import task_folder
from tao_hf.rendering import tasks
from tests.support.paths import ROOT
from tests.support.template_versions import Template

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

TOY = "toy-depth"
# Random weights of an architecture whose last layer cuts off what is negative: shifted, so that there is something.
MAKE_DPT = """
import sys
import torch
from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor
torch.manual_seed(0)
config = DPTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64, image_size=64,
                   patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16, 16, 32, 32],
                   fusion_hidden_size=16, use_batch_norm_in_fusion_residual=True)
model = DPTForDepthEstimation(config)
model.head.head[-2].bias.data.fill_(0.5)
model.head.head[-2].weight.data.mul_(20)
model.save_pretrained(sys.argv[1])
DPTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(sys.argv[1])
"""

MAKE_SUPERPOINT = """
import sys
from transformers import SuperPointConfig, SuperPointForKeypointDetection, SuperPointImageProcessor
config = SuperPointConfig(encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, descriptor_decoder_dim=16)
SuperPointForKeypointDetection(config).save_pretrained(sys.argv[1])
SuperPointImageProcessor().save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def tiny_dpt(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small depth estimator, saved by ``save_pretrained``."""
    return _make(MAKE_DPT, runtime_python, tmp_path_factory.mktemp("hf") / "tiny-dpt")


@pytest.fixture(scope="module")
def tiny_superpoint(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small detector of keypoints, for which there is no folder."""
    return _make(MAKE_SUPERPOINT, runtime_python, tmp_path_factory.mktemp("hf") / "tiny-superpoint")


def _make(code: str, runtime_python: Path, folder: Path) -> Path:
    """Return a folder with the model that some code saves."""
    subprocess.run([str(runtime_python), "-W", "ignore", "-c", code, str(folder)], check=True, capture_output=True)
    return folder


def test_without_the_folder_the_refusal_says_what_the_model_is(
    first_template: Template, tiny_superpoint: Path, tmp_path: Path
) -> None:
    done = first_template.copy(tmp_path / "workdir", tiny_superpoint)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    said = " ".join(done.stdout.split())
    assert f"{tiny_superpoint} is made for keypoint-detection; this version of the template generates" in said
    assert all(name in said for name in tasks.task_types(ROOT))


@pytest.mark.parametrize("level", ["quick", pytest.param("full", marks=pytest.mark.exhaustive)])
def test_with_the_folder_it_becomes_a_tao_model(
    template: Template, tiny_dpt: Path, tmp_path: Path, level: str
) -> None:
    folder = template.path / "tasks" / task_folder(TOY)
    before = template.versions[-1]
    version = template.release(lambda _: shutil.copytree(ROOT / "tests" / "support" / "toy_task", folder))
    changed = ["git", "diff", "--name-only", before, version]
    names = subprocess.run(changed, cwd=template.path, check=True, capture_output=True, text=True).stdout.splitlines()
    assert names and all(name.startswith(f"tasks/{folder.name}/") for name in names)

    done = template.copy(
        tmp_path / "workdir", tiny_dpt, version, task_type=TOY, model_name="toy", run_tests=level
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "│" in done.stdout and not re.search(r"│ +classes ", done.stdout)  # the table of findings
    records = tmp_path / "workdir" / ".tao-hf" / "toy"
    answers = yaml.safe_load((records / "answers.yml").read_text(encoding="utf-8"))
    assert (answers["task_type"], answers["num_labels"]) == (TOY, 0)
    recorded.check_values(answers)  # as an update does
    info = json.loads((records / "model.json").read_text(encoding="utf-8"))
    assert info["onnx_inputs"] == ["images"] and not any(name.endswith("labels.py") for name in info["files"])
    report = json.loads((records / "report.json").read_text(encoding="utf-8"))
    ran = {step["id"]: step["status"] for step in report["steps"]}
    assert {ran[step] for step in ("consistency", "17", "18", "19", "20")} == {"passed"}
    if level == "full":
        assert ran["22.train"] == ran["22.trt_evaluate"] == ran["23"] == ran["23.fp16"] == "passed"
