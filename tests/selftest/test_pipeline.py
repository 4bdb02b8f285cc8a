"""The generated model at work: the whole chain, on the real tao-pytorch, and against Hugging Face's numbers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tao_hf.runtime.kinds import get_runtime
from tests.support.clones import with_tao_pytorch
from tests.support.copies import MODEL, copier_copy

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

REPORT_KEYS = {
    "model_name", "task_type", "hf_model_id", "runtime", "stand_ins", "steps", "metrics", "cross_check",
    "cross_check_fp16",
}  # fmt: skip
STEP_KEYS = {"id", "title", "status", "seconds", "reason", "log", "advice"}


def tao_hf(workdir: Path, *arguments: str) -> dict:
    """Run ``./tao-hf test`` to a good end and return the report."""
    command = ["./tao-hf", "test", MODEL, *arguments]
    done = subprocess.run(command, cwd=workdir, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads((workdir / ".tao-hf" / MODEL / "report.json").read_text(encoding="utf-8"))


def test_whole_chain_on_the_embedded_default(own_copy: Path) -> None:
    foreign = "[tool.pytest.ini_options]\naddopts = '--of-another-project'\n"
    (own_copy.parent / "pyproject.toml").write_text(foreign, encoding="utf-8")
    report = tao_hf(own_copy, "--full")
    assert set(report) >= REPORT_KEYS
    assert all(set(step) >= STEP_KEYS for step in report["steps"])
    assert {step["id"] for step in report["steps"] if step["status"] == "skipped"} == {"16", "23.int8", "25"}
    assert {step["status"] for step in report["steps"]} == {"passed", "skipped"}
    assert {"tao-pytorch", "tensorrt", "pycuda", "eff"} <= set(report["stand_ins"])
    exact, half = report["cross_check"], report["cross_check_fp16"]
    assert (exact["precision"], half["precision"]) == ("FP32", "FP16")
    assert exact["images"] == half["images"] == report["metrics"]["native"]["num_images"] > 0
    assert exact["max_abs_diff"] < half["max_abs_diff"] < 0.1, "FP16 differs, but little"
    readable = (own_copy / ".tao-hf" / MODEL / "report.md").read_text(encoding="utf-8")
    assert "stand-in" in readable and "tensorrt" in readable

    for repo in ("tao-pytorch", "tao-deploy"):
        assert [path.suffix for path in (own_copy / repo / "dist").iterdir()] == [".whl"]
        assert not [*(own_copy / repo).glob("build"), *(own_copy / repo).glob("*.egg-info")]
    again = tao_hf(own_copy, "--steps", "22.export,23.fp16")
    assert again["last_run"] == ["22.export", "23.fp16"]
    assert again["metrics"] == report["metrics"] and again["cross_check"] == report["cross_check"]


def test_generated_tests_pass_on_the_real_tao_pytorch(
    tiny_vit: Path, tao_pytorch_clone: Path, tmp_path: Path
) -> None:
    """The clone lies in the working directory, as a person's own would."""
    workdir = tmp_path / "workdir"
    branch = with_tao_pytorch(workdir, tao_pytorch_clone)
    done = copier_copy(workdir, tiny_vit, model_name=MODEL, tao_source="auto", base_branch=branch)
    assert done.returncode == 0, done.stdout
    assert "your own clone" in done.stdout
    report = tao_hf(workdir)
    assert "tao-pytorch" not in report["stand_ins"]
    assert {step["id"]: step["status"] for step in report["steps"]}["18"] == "passed"


def test_generated_tests_pass_on_transformers_4(
    copied: Path, runtime_python: Path, tmp_path: Path
) -> None:
    """The TAO 7.0.1 images carry transformers 4.57, the local runtime 5."""
    older = ["transformers==4.57.*", "huggingface_hub<1", "tokenizers>=0.22,<0.23"]
    pip = [str(runtime_python), "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "older")]
    subprocess.run([*pip, *older], check=True, capture_output=True)
    paths = [tmp_path / "older", copied / "tao-core", copied / "tao-pytorch", copied / ".tao-hf" / "standins"]
    code = "import sys, transformers, pytest; print('VERSION', transformers.__version__); sys.exit(pytest.main())"
    tests = f"tests/cv_unit_test/{MODEL}"
    done = subprocess.run(
        [str(runtime_python), "-W", "ignore", "-c", code, "-q", "-p", "no:cacheprovider", "-m", "cv_unit", tests],
        cwd=copied / "tao-pytorch",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "VERSION 4.57" in done.stdout
    assert done.returncode == 0, done.stdout[-3000:]


COMPARE = """
import sys
import numpy as np, torch
from omegaconf import OmegaConf
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification
from nvidia_tao_core.config.{model}.default_config import ExperimentConfig
from nvidia_tao_pytorch.cv.{model}.dataloader.augmentation import Normalization, build_eval_transform
from nvidia_tao_pytorch.cv.{model}.model.{model} import build_model

hf_model, pretrained, spec_file = sys.argv[1:]
spec = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), OmegaConf.load(spec_file))
spec.model.backbone.pretrained_backbone_path = pretrained
mine = build_model(spec).eval()
theirs = AutoModelForImageClassification.from_pretrained(hf_model).eval()
processor = AutoImageProcessor.from_pretrained(hf_model, use_fast=False)
transform = build_eval_transform(spec.dataset.augmentation, spec.dataset.img_size)
normalize = Normalization(spec.dataset.augmentation.mean, spec.dataset.augmentation.std)
random = np.random.default_rng(0)
images = [Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((32, 32), (70, 41))]
with torch.no_grad():
    expected = theirs(**processor(images, return_tensors="pt")).logits
    logits = mine(normalize(torch.stack([transform(image) for image in images])))
print("DIFFERENCE", float((logits - expected).abs().max()), "SCALE", float(expected.abs().max()))
"""


def test_converted_checkpoint_gives_hugging_faces_logits(own_copy: Path, tiny_vit: Path) -> None:
    """From image files to logits: generated preprocessing and model against Hugging Face's own."""
    runtime = get_runtime("local")
    spec = own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml"
    results = own_copy / "results"
    converted = runtime.run(
        [MODEL, "convert", "-e", str(spec), f"results_dir={results}", f"convert.hf_model={tiny_vit}"],
        context="pytorch",
        workdir=own_copy,
        cwd=own_copy,
    )
    assert converted.returncode == 0, converted.tail
    pretrained = results / "convert" / f"{MODEL}_pretrained.pth"
    assert (results / "convert" / "classes.txt").read_text(encoding="utf-8").split("\n")[0] == "digit 0"
    compared = runtime.run(
        ["python", "-c", COMPARE.format(model=MODEL), str(tiny_vit), str(pretrained), str(spec)],
        context="pytorch",
        workdir=own_copy,
        cwd=own_copy,
    )
    assert compared.returncode == 0, compared.tail
    (line,) = [line for line in compared.tail.splitlines() if line.startswith("DIFFERENCE")]
    _, difference, _, scale = line.split()
    assert float(difference) <= 1e-5 * max(1.0, float(scale)), line


def test_converting_another_architecture_is_refused(own_copy: Path, tiny_vit: Path) -> None:
    other = own_copy / "other"
    other.mkdir()
    config = json.loads((tiny_vit / "config.json").read_text(encoding="utf-8"))
    config.update(model_type="deit", architectures=["DeiTForImageClassification"])
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (other / "model.safetensors").symlink_to(tiny_vit / "model.safetensors")
    spec = own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml"
    done = get_runtime("local").run(
        [MODEL, "convert", "-e", str(spec), f"results_dir={own_copy / 'results'}", f"convert.hf_model={other}"],
        context="pytorch",
        workdir=own_copy,
        cwd=own_copy,
    )
    assert done.returncode != 0
    assert "this backbone needs vit" in done.tail
    assert not list((own_copy / "results").rglob("*.pth"))
