"""`copier copy` as a person runs it: what it writes, where, and what it leaves alone."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pytest_copie.plugin import Copie

from tests.support.copies import MODEL, copier_copy, make_vit, snapshot

pytestmark = pytest.mark.runtime
REPOS = ("tao-core", "tao-pytorch", "tao-deploy")


def git(*arguments: str, cwd: Path) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_every_listed_file_is_there_and_compiles(copied: Path) -> None:
    files = json.loads((copied / ".tao-hf" / MODEL / "model.json").read_text(encoding="utf-8"))["files"]
    assert len([file for file in files if file.endswith(".py")]) > 30
    for file in files:
        text = (copied / file).read_text(encoding="utf-8")
        assert "{{" not in text.replace("${{", "") and "{%" not in text, f"{file} holds template residue"
        if file.endswith(".py"):
            ast.parse(text, file)
        if file.endswith((".yaml", ".yml")):
            assert yaml.safe_load(text)


def test_seed_layout(copied: Path) -> None:
    expected = f"""
    tao-core/nvidia_tao_core/config/{MODEL}/__init__.py
    tao-core/nvidia_tao_core/config/{MODEL}/default_config.py
    tao-core/nvidia_tao_core/config/{MODEL}/model_params_mapping.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/model/{MODEL}.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/model/{MODEL}_pl_model.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/model/utils.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/dataloader/dataset.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/dataloader/augmentation.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/dataloader/pl_{MODEL}_data_module.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/train.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/evaluate.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/inference.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/export.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/convert.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/entrypoint/{MODEL}.py
    tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml
    tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/hf_{MODEL}.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/conftest.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/test_trainer.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/test_model.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/test_dataloader.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/test_config.py
    tao-pytorch/tests/cv_unit_test/{MODEL}/test_export.py
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/entrypoint/{MODEL}.py
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/scripts/gen_trt_engine.py
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/scripts/inference.py
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/scripts/evaluate.py
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/gen_trt_engine.yaml
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/inference.yaml
    tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/evaluate.yaml
    tao-deploy/tests/{MODEL}/test_{MODEL}.py
    """.split()
    assert [file for file in expected if not (copied / file).is_file()] == []


def test_repositories_hold_the_model_and_nothing_else_new(copied: Path) -> None:
    branches = {git("branch", "--show-current", cwd=copied / repo).strip() for repo in REPOS}
    assert branches == {f"feature/add-{MODEL.replace('_', '-')}"}
    changed = {repo: git("diff", "--name-only", cwd=copied / repo).split() for repo in REPOS}
    assert changed == {
        "tao-core": [],
        "tao-pytorch": ["nvidia_tao_pytorch/cv/backbone_v2/__init__.py", "setup.py"],
        "tao-deploy": ["setup.py"],
    }
    for repo in REPOS:
        untracked = git("ls-files", "--others", "--exclude-standard", cwd=copied / repo).split()
        assert untracked and all(MODEL in path for path in untracked), untracked
        assert git("remote", cwd=copied / repo).strip() == "", "an embedded repository must have no remote"


@pytest.mark.usefixtures("own_modules")
def test_every_question_has_a_usable_default(copie: Copie, tiny_vit: Path) -> None:
    """Only the model is given, and what keeps this test quick and offline."""
    given = {"hf_model_id": str(tiny_vit), "runtime": "local", "tao_source": "embedded", "run_tests": "none"}
    result = copie.copy(extra_answers=given)
    assert result.exit_code == 0, result.exception
    assert result.exception is None
    answers = yaml.safe_load((result.project_dir / ".tao-hf/tiny_vit/answers.yml").read_text(encoding="utf-8"))
    assert (answers["model_name"], answers["num_labels"], answers["image_size"]) == ("tiny_vit", 10, 32)
    assert answers["branch_name"] == "feature/add-tiny-vit"


def test_answers_are_all_that_rendering_needs(copied: Path) -> None:
    answers = yaml.safe_load((copied / ".tao-hf" / MODEL / "answers.yml").read_text(encoding="utf-8"))
    public = "hf_model_id model_name task_type image_size num_labels strategy runtime tao_source tao_version"
    assert set(public.split()) | {"branch_name", "base_branch", "run_tests", "findings"} <= set(answers)
    assert answers["findings"]["model_type"] == "vit"


def without_version(workdir: Path) -> tuple[dict[str, str], list[str]]:
    """Return a snapshot without the tools, and the records less the template's version.

    While the template itself is being edited, Copier gives every copy a version of its own.
    """
    records = [workdir / ".tao-hf" / MODEL / "answers.yml", workdir / ".tao-hf" / "workdir.json"]
    lines = [line for path in records for line in path.read_text(encoding="utf-8").splitlines()]
    files = snapshot(workdir, without=(".git", "bin", "logs", "__pycache__", "tools", "locks"))
    for path in records:
        del files[path.relative_to(workdir).as_posix()]
    return files, [line for line in lines if "_commit" not in line and "template_version" not in line]


def test_second_copy_changes_nothing(own_copy: Path, tiny_vit: Path) -> None:
    before = without_version(own_copy)
    done = copier_copy(own_copy, tiny_vit, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    assert without_version(own_copy) == before


def test_copying_again_keeps_edits(own_copy: Path, tiny_vit: Path) -> None:
    """A second copy merges as an update does: edits stay, also beside what the new answers change."""
    edited = own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils/optimization.py"
    text = edited.read_text(encoding="utf-8") + "\n# mine\n"
    edited.write_text(text, encoding="utf-8")
    config = own_copy / f"tao-core/nvidia_tao_core/config/{MODEL}/default_config.py"
    config.write_text(config.read_text(encoding="utf-8") + "\n# mine too\n", encoding="utf-8")
    done = copier_copy(own_copy, tiny_vit, model_name=MODEL, num_labels=12)
    assert done.returncode == 0, done.stdout
    assert edited.read_text(encoding="utf-8") == text
    merged = config.read_text(encoding="utf-8")
    assert merged.endswith("\n# mine too\n") and "12" in merged
    assert yaml.safe_load((own_copy / f".tao-hf/{MODEL}/answers.yml").read_bytes())["num_labels"] == 12


def test_files_the_ledger_does_not_know_are_not_overwritten(own_copy: Path, tiny_vit: Path) -> None:
    """What lies where a model is to go, and was not made by the template, is refused and stays."""
    shutil.rmtree(own_copy / ".git")
    edited = own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils/optimization.py"
    edited.write_text("# all mine\n", encoding="utf-8")
    before = snapshot(own_copy / "tao-pytorch")
    done = copier_copy(own_copy, tiny_vit, model_name=MODEL)
    assert done.returncode != 0
    assert "optimization.py" in done.stdout and "Traceback" not in done.stdout
    assert snapshot(own_copy / "tao-pytorch") == before


def test_two_models_side_by_side(own_copy: Path, runtime_python: Path, tmp_path: Path) -> None:
    first = snapshot(own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}")
    other = make_vit(runtime_python, tmp_path / "other", ["cat", "dog", "bird"], size=[16, 24])
    done = copier_copy(own_copy, other, model_name="other_vit")
    assert done.returncode == 0, done.stdout
    assert snapshot(own_copy / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}") == first
    setup = (own_copy / "tao-pytorch/setup.py").read_text(encoding="utf-8")
    assert f"{MODEL}=nvidia_tao_pytorch" in setup and "other_vit=nvidia_tao_pytorch" in setup
    assert git("branch", "--show-current", cwd=own_copy / "tao-core").strip() == "feature/add-tiny-vit"
    listed = subprocess.run(["./tao-hf", "status"], cwd=own_copy, capture_output=True, text=True, check=True).stdout
    assert MODEL in listed and "other_vit" in listed
    record = json.loads((own_copy / ".tao-hf/workdir.json").read_text(encoding="utf-8"))
    assert {repo["source"] for repo in record["repos"].values()} == {"embedded"}, "where they came from is kept"


@pytest.mark.slow
def test_copy_exits_non_zero_when_tests_fail_and_leaves_everything_in_place(own_copy: Path, tiny_vit: Path) -> None:
    """The workdir holds a clone whose registry is broken: rendering works, the generated tests cannot."""
    registry = own_copy / "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/registry.py"
    registry.write_text("BACKBONE_REGISTRY = None\n", encoding="utf-8")
    done = copier_copy(own_copy, tiny_vit, model_name="second_vit", run_tests="quick")
    assert done.returncode != 0
    assert "everything is still in place" in done.stdout
    assert registry.read_text(encoding="utf-8") == "BACKBONE_REGISTRY = None\n"
    assert (own_copy / "tao-core/nvidia_tao_core/config/second_vit/default_config.py").is_file()
    assert (own_copy / ".tao-hf/second_vit/report.md").is_file()
    report = json.loads((own_copy / ".tao-hf/second_vit/report.json").read_text(encoding="utf-8"))
    states = {step["id"]: step["status"] for step in report["steps"]}
    assert states["18"] == "failed" and states["consistency"] == "passed"
    assert all(step["reason"] for step in report["steps"] if step["status"] != "passed")


def test_real_preprocessing_reaches_all_specs(copied: Path) -> None:
    specs = [
        copied / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml",
        copied / f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/inference.yaml",
        copied / f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/evaluate.yaml",
    ]
    for spec in specs:
        augmentation = yaml.safe_load(spec.read_text(encoding="utf-8"))["dataset"]["augmentation"]
        assert augmentation["mean"] == [0.5, 0.5, 0.5] and augmentation["std"] == [0.5, 0.5, 0.5]
        assert augmentation["resize"]["interpolation"] == "bilinear"


def test_a_repository_that_was_replaced_is_the_persons_own(own_copy: Path, tiny_vit: Path) -> None:
    """A stand-in's record does not stick to a clone that took its place."""
    replaced = own_copy / "tao-pytorch"
    for path in (replaced / ".git").iterdir():
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    (replaced / ".git").rmdir()
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    git("init", "-q", "-b", "main", cwd=replaced)
    git("add", "-A", cwd=replaced)
    git(*identity, "commit", "-qm", "mine", cwd=replaced)
    git("branch", "feature/add-tiny-vit", cwd=replaced)
    done = copier_copy(own_copy, tiny_vit, model_name="second_vit")
    assert done.returncode == 0, done.stdout
    record = json.loads((own_copy / ".tao-hf/workdir.json").read_text(encoding="utf-8"))
    assert {name: repo["source"] for name, repo in record["repos"].items()} == {
        "tao-core": "embedded", "tao-pytorch": "present", "tao-deploy": "embedded",
    }  # fmt: skip
