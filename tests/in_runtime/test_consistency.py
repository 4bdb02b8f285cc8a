"""The consistency check: the template's own output holds, and every kind of break is caught and named, alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tao_hf.in_runtime.check import consistency
from tests.support import trees
from tests.support.paths import HOOKS
from tests.support.trees import MODEL

CORE = f"tao-core/nvidia_tao_core/config/{MODEL}"
PYTORCH = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}"
DEPLOY = f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}"
SPEC = f"{PYTORCH}/experiment_specs/experiment_spec.yaml"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.build(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def workdir(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the template's output, with its tao-core on the path as in the runtime."""
    monkeypatch.syspath_prepend(tmp_path / "work" / "tao-core")
    return Path(shutil.copytree(pristine, tmp_path / "work"))


@pytest.fixture(autouse=True)
def fresh_schema() -> Iterator[None]:
    """Let every test import the schema of its own working directory."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvidia_tao_core"]:
        del sys.modules[name]


def broken(workdir: Path) -> dict[str, str]:
    """Return {item: detail} of the items that do not hold."""
    return {finding.item: finding.detail for finding in consistency.check(workdir, MODEL) if not finding.ok}


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit of one file that must change it."""

    def edit(root: Path) -> None:
        text = (root / name).read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r} to break"
        (root / name).write_text(text.replace(old, new), encoding="utf-8")

    return edit


def setting(name: str, key: str, value: str) -> Callable[[Path], None]:
    """Return an edit of a spec that gives every `key` (last part only) another value."""

    def edit(root: Path) -> None:
        text = (root / name).read_text(encoding="utf-8")
        changed, count = re.subn(rf"(?m)^( *{key}:).*$", rf"\1 {value}", text)
        assert count and changed != text, f"{name} has no {key} to break"
        (root / name).write_text(changed, encoding="utf-8")

    return edit


def delete(name: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        (root / name).unlink()

    return edit


MUTATIONS = {
    "schema: unknown key": ("schema_keys", replace(SPEC, "    lr: ", "    learning_rate: "), f"{SPEC}:"),
    "schema: wrong type": ("schema_keys", setting(SPEC, "num_epochs", "many"), f"{SPEC}:"),
    "schema: deploy spec": (
        "schema_keys",
        replace(f"{DEPLOY}/specs/inference.yaml", "  batch_size:", "  batchsize:"),
        "inference.yaml:",
    ),
    "schema: section gone": (
        "schema_keys",
        replace(
            f"{CORE}/default_config.py",
            "    quantize: QuantizeConfig",
            "    quantise: QuantizeConfig",
        ),
        "lacks the section quantize",
    ),
    "head width in the spec": ("head_in_channels", setting(SPEC, "in_channels", "64"), f"{SPEC}:"),
    "head width in the mapping": (
        "head_in_channels",
        replace(f"{CORE}/model_params_mapping.py", ": 32", ": 48"),
        "model_params_mapping.py:",
    ),
    "backbone not mapped": (
        "head_in_channels",
        replace(f"{CORE}/model_params_mapping.py", MODEL, "other"),
        "model_params_mapping.py:",
    ),
    "checkpoint name in the code": (
        "checkpoint_name",
        replace(f"{PYTORCH}/model/{MODEL}_pl_model.py", f'"{MODEL}_model"', '"model"'),
        "_pl_model.py:",
    ),
    "checkpoint name in the spec": (
        "checkpoint_name",
        replace(
            SPEC,
            f"gpu_id: 0\n  on_cpu: false\n  checkpoint: ${{results_dir}}/train/{MODEL}_model_",
            f"gpu_id: 0\n  on_cpu: false\n  checkpoint: ${{results_dir}}/train/{MODEL}_",
        ),
        "export.checkpoint",
    ),
    "mean in the training spec": ("normalization", setting(SPEC, "mean", "[0.6, 0.4, 0.3]"), "inference.yaml:"),
    "std in inference": (
        "normalization",
        setting(f"{DEPLOY}/specs/inference.yaml", "std", "[0.9, 0.3, 0.4]"),
        "inference.yaml:",
    ),
    "std in evaluation": (
        "normalization",
        setting(f"{DEPLOY}/specs/evaluate.yaml", "std", "[0.9, 0.3, 0.4]"),
        "evaluate.yaml:",
    ),
    "mean in calibration": (
        "normalization",
        setting(f"{DEPLOY}/specs/gen_trt_engine.yaml", "mean", "[0.9, 0.4, 0.3]"),
        "gen_trt_engine.yaml:",
    ),
    "calibration with ImageNet's numbers": (
        "normalization",
        replace(f"{DEPLOY}/engine_builder.py", "def set_calibrator(", "def unused("),
        "has no set_calibrator",
    ),
    "numbers in the code": (
        "normalization",
        replace(
            f"{PYTORCH}/dataloader/pl_{MODEL}_data_module.py",
            "Normalization(augmentation.mean,",
            "Normalization([0.485, 0.456, 0.406],",
        ),
        "data_module.py:",
    ),
    "interpolation": (
        "preprocessing",
        setting(f"{DEPLOY}/specs/evaluate.yaml", "interpolation", "bicubic"),
        "evaluate.yaml:",
    ),
    "crop": (
        "preprocessing",
        setting(f"{DEPLOY}/specs/inference.yaml", "center_crop", "true"),
        "inference.yaml:",
    ),
    "image size": (
        "preprocessing",
        setting(f"{DEPLOY}/specs/gen_trt_engine.yaml", "img_size", "[32, 24]"),
        "gen_trt_engine.yaml:",
    ),
    "ONNX input": (
        "onnx_names",
        replace(f"{PYTORCH}/utils/onnx_export.py", 'INPUT_NAMES = ["input"]', 'INPUT_NAMES = ["images"]'),
        "input_names",
    ),
    "ONNX output": (
        "onnx_names",
        replace(f"{PYTORCH}/utils/onnx_export.py", 'OUTPUT_NAMES = ["output"]', 'OUTPUT_NAMES = ["logits"]'),
        "output_names",
    ),
    "bare engine in a spec": (
        "deploy_fields",
        lambda root: (root / DEPLOY / "specs/inference.yaml").write_text(
            (root / DEPLOY / "specs/inference.yaml").read_text().replace("  trt_engine:", "  # trt_engine:"),
            encoding="utf-8",
        ),
        "inference.trt_engine is missing",
    ),
    "another data type in the deploy spec": (
        "engine",
        setting(f"{DEPLOY}/specs/gen_trt_engine.yaml", "data_type", "FP16"),
        "gen_trt_engine.tensorrt.data_type is FP16",
    ),
    "bare onnx_file in a script": (
        "deploy_fields",
        replace(f"{DEPLOY}/scripts/gen_trt_engine.py", "cfg.gen_trt_engine.onnx_file", "cfg.onnx_file"),
        "gen_trt_engine.py:",
    ),
    "ONNX file handed on": (
        "onnx_file",
        replace(
            SPEC,
            "gen_trt_engine:\n  onnx_file: ${results_dir}/export",
            "gen_trt_engine:\n  onnx_file: ${results_dir}/onnx",
        ),
        "gen_trt_engine.onnx_file",
    ),
    "results chain": (
        "results_chain",
        setting(SPEC, "trt_engine", f"/elsewhere/trt/{MODEL}.engine"),
        "gen_trt_engine.trt_engine",
    ),
    "export height": ("input_size", setting(SPEC, "input_height", "32"), "export.input_height"),
    "export width": ("input_size", setting(SPEC, "input_width", "24"), "export.input_width"),
    "export channels": ("input_size", setting(SPEC, "input_channel", "1"), "export.input_channel"),
    "entrypoint of the trainer": (
        "entrypoint_imports",
        replace(
            f"{PYTORCH}/entrypoint/{MODEL}.py",
            "nvidia_tao_pytorch.core.entrypoint",
            "nvidia_tao_deploy.cv.common.entrypoint.entrypoint_hydra",
        ),
        f"{PYTORCH}/entrypoint",
    ),
    "entrypoint of the deployment": (
        "entrypoint_imports",
        replace(
            f"{DEPLOY}/entrypoint/{MODEL}.py",
            "nvidia_tao_deploy.cv.common.entrypoint.entrypoint_hydra",
            "nvidia_tao_pytorch.core.entrypoint",
        ),
        f"{DEPLOY}/entrypoint",
    ),
    "hydra_runner of the deployment": (
        "hydra_imports",
        replace(
            f"{DEPLOY}/scripts/evaluate.py",
            "nvidia_tao_deploy.cv.common.hydra.hydra_runner",
            "nvidia_tao_pytorch.core.hydra.hydra_runner",
        ),
        "scripts/evaluate.py:",
    ),
    "another schema": (
        "hydra_imports",
        replace(
            f"{PYTORCH}/scripts/train.py",
            f"nvidia_tao_core.config.{MODEL}",
            "nvidia_tao_pytorch.config.classification_pyt",
        ),
        "scripts/train.py:",
    ),
    "spec that is not there": (
        "hydra_imports",
        replace(f"{DEPLOY}/scripts/inference.py", 'config_name="inference"', 'config_name="infer"'),
        "inference.py:",
    ),
    "monitor_status of the trainer": (
        "monitor_imports",
        replace(
            f"{PYTORCH}/scripts/export.py",
            "nvidia_tao_pytorch.core.decorators.workflow",
            "nvidia_tao_deploy.cv.common.decorators",
        ),
        "scripts/export.py:",
    ),
    "mode of another subtask": (
        "monitor_imports",
        replace(f"{PYTORCH}/scripts/evaluate.py", 'mode="evaluate"', 'mode="train"'),
        "scripts/evaluate.py:",
    ),
    "another class list": (
        "classes_file",
        replace(f"{DEPLOY}/utils/labels.py", '"classes.txt")', '"labels.txt")'),
        "labels.txt",
    ),
    "class list setting": (
        "classes_file",
        setting(f"{DEPLOY}/specs/evaluate.yaml", "classes_file", "/data/other.txt"),
        "evaluate.yaml:",
    ),
    "sorted class list": (
        "classes_file",
        replace(f"{DEPLOY}/utils/labels.py", "map(clean_name, f)", "map(clean_name, sorted(f))"),
        "labels.py:",
    ),
    "init of the scripts": ("init_files", delete(f"{DEPLOY}/scripts/__init__.py"), f"{DEPLOY}/scripts/__init__.py"),
    "init of the schema": ("init_files", delete(f"{CORE}/__init__.py"), f"{CORE}/__init__.py"),
    "console command of the trainer": (
        "console_scripts",
        replace("tao-pytorch/setup.py", f"'{MODEL}=", "'other="),
        "tao-pytorch/setup.py",
    ),
    "console command of the deployment": (
        "console_scripts",
        replace("tao-deploy/setup.py", f"{MODEL}=nvidia_tao_deploy", f"{MODEL}=nvidia_tao_pytorch"),
        "tao-deploy/setup.py:",
    ),
    "backbone not registered": (
        "backbone_registered",
        replace(f"tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/hf_{MODEL}.py", "@BACKBONE_REGISTRY.register()", ""),
        "registers the backbone",
    ),
    "backbone not listed": (
        "backbone_registered",
        replace("tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__init__.py", f'"{MODEL}"', '"vit"'),
        "__all__",
    ),
    "backbone not imported": (
        "backbone_registered",
        replace(
            "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/__init__.py",
            f"backbone_v2.hf_{MODEL} import",
            "backbone_v2.vit import",
        ),
        "does not import",
    ),
    "no dynamic axis": (
        "dynamic_batch",
        replace(f"{PYTORCH}/utils/onnx_export.py", "dynamic_axes=dynamic_axes", "dynamic_axes=None"),
        "onnx_export.py:",
    ),
    "output axis forgotten": (
        "dynamic_batch",
        replace(f"{PYTORCH}/utils/onnx_export.py", "for name in INPUT_NAMES + OUTPUT_NAMES", "for name in INPUT_NAMES"),
        "axis 0 of output",
    ),
    "another axis": (
        "dynamic_batch",
        replace(f"{PYTORCH}/utils/onnx_export.py", '{0: "batch_size"}', '{1: "batch_size"}'),
        "no axis 0",
    ),
}


def test_the_templates_output_is_consistent(workdir: Path) -> None:
    assert broken(workdir) == {}


@pytest.mark.parametrize(("item", "edit", "named"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_break_is_caught_and_named_alone(workdir: Path, item: str, edit: Callable[[Path], None], named: str) -> None:
    edit(workdir)
    found = broken(workdir)
    assert list(found) == [item]
    assert named in found[item]


def test_every_item_has_a_mutation() -> None:
    assert {item for item, _, _ in MUTATIONS.values()} == {function.__name__ for function in consistency.ITEMS}


def test_a_file_that_does_not_parse_is_named_with_its_line(workdir: Path) -> None:
    replace(f"{PYTORCH}/utils/onnx_export.py", "def export_onnx(", "def export_onnx((")(workdir)
    found = broken(workdir)
    assert "onnx_names" in found and "is not valid Python" in found["onnx_names"]
    assert f"{PYTORCH}/utils/onnx_export.py:" in found["onnx_names"]


def test_a_schema_that_does_not_import_is_a_finding_not_a_crash(workdir: Path) -> None:
    replace(f"{CORE}/default_config.py", "from omegaconf import MISSING", "from omegaconf import NOTHING")(workdir)
    found = broken(workdir)
    assert "ExperimentConfig cannot be used" in found["schema_keys"]
    assert "init_files" not in found  # what needs no schema is still judged by itself


def test_generated_code_is_not_run(workdir: Path) -> None:
    marker = workdir / "ran"
    for name in (f"{PYTORCH}/scripts/train.py", f"{DEPLOY}/scripts/evaluate.py", f"{CORE}/model_params_mapping.py"):
        with (workdir / name).open("a", encoding="utf-8") as file:
            file.write(f"\nopen({str(marker)!r}, 'w').close()\n")
    consistency.check(workdir, MODEL)
    assert not marker.exists()


def test_the_command_writes_json_and_ends_with_1_on_a_finding(workdir: Path, tmp_path: Path) -> None:
    setting(SPEC, "input_height", "32")(workdir)
    out = tmp_path / "findings.json"
    script = [sys.executable, "-m", "tao_hf.in_runtime.check.consistency"]
    env = {**os.environ, "PYTHONPATH": f"{HOOKS}:{workdir / 'tao-core'}"}
    done = subprocess.run(
        [*script, str(workdir), MODEL, "--json", str(out)], capture_output=True, text=True, check=False, env=env
    )
    findings = json.loads(out.read_text(encoding="utf-8"))["findings"]
    assert done.returncode == 1, done.stderr
    assert [finding["item"] for finding in findings if not finding["ok"]] == ["input_size"]
    assert f"{SPEC}:" in done.stdout
    unknown = subprocess.run([*script, str(workdir), "nope"], capture_output=True, check=False, env=env)
    assert unknown.returncode == 2
