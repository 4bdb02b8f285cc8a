"""Bad input at the command line: one clear sentence, a non-zero exit, and nothing written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import copier
import pytest
import yaml
from copier.errors import UserMessageError

from tao_hf.base.errors import UserError
from tao_hf.questions import model, opening, preflight
from tests.support.copies import MODEL, copier_copy, snapshot
from tests.support.paths import ROOT
from tests.support.stub_hub import StubHub, StubModel

pytestmark = pytest.mark.runtime


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that Copier refused with one sentence that holds `words`."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout, done.stdout
    last = done.stdout.strip().splitlines()[-1]
    for word in words:
        assert word in last, done.stdout


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"model_name": "class"}, ["class", "keyword"]),
        ({"model_name": "../escape"}, ["escape"]),
        ({"model_name": "a/b"}, ["a/b"]),
        ({"model_name": "Modèle"}, ["ASCII"]),
        ({"model_name": "dino"}, ["dino"]),
        ({"model_name": "vit_base_patch16"}, ["vit_base_patch16"]),
        ({"image_size": 0}, ["image_size"]),
        ({"image_size": "[32, -8]"}, ["image_size"]),
        ({"image_size": 30}, ["patch size"]),
        ({"image_size": "tall"}, ["image_size"]),
        ({"num_labels": 1}, ["num_labels"]),
        ({"runtime": "podman"}, ["runtime", "auto, docker, local"]),
        ({"strategy": "magic"}, ["strategy", "auto, reuse, timm, hf"]),
        ({"run_tests": "some"}, ["run_tests"]),
        ({"task_type": "object-detection"}, ["object-detection"]),
        ({"num_label": 3}, ["num_label", "num_labels"]),
        ({"branch_name": "no spaces allowed"}, ["branch"]),
        ({"tao_version": "0.0.1"}, ["0.0.1"]),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("own_modules")
def test_answers(answers: dict, words: list[str], tiny_vit: Path, tmp_path: Path) -> None:
    """In one process, which saves seconds a case; what the command line shows is tested below."""
    given = {
        "hf_model_id": str(tiny_vit), "model_name": MODEL, "runtime": "local", "tao_source": "embedded", **answers,
    }
    workdir = tmp_path / "workdir"
    with pytest.raises(UserMessageError) as caught:
        copier.run_copy(str(ROOT), workdir, data=given, defaults=True, unsafe=True, vcs_ref="HEAD")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not workdir.exists()


def test_one_sentence_on_the_command_line(tiny_vit: Path, tmp_path: Path) -> None:
    refused(copier_copy(tmp_path / "workdir", tiny_vit, model_name="class"), "class", "keyword")
    refused(copier_copy(tmp_path / "workdir", tiny_vit, runtime="podman"), "runtime", "auto, docker, local")
    assert not (tmp_path / "workdir").exists()


def test_hub_problems(tiny_vit: Path, tmp_path: Path) -> None:
    models = {
        "acme/gated": StubModel(tiny_vit, gated=True),
        "acme/text": StubModel(tiny_vit, pipeline_tag="text-generation"),
    }
    with StubHub(models) as hub:
        env = {"HF_ENDPOINT": hub.url, "TAO_HF_CACHE": "", "HF_TOKEN": ""}
        workdir = tmp_path / "workdir"
        refused(copier_copy(workdir, "acme/unknown", env), "acme/unknown")
        refused(copier_copy(workdir, "acme/gated", env), "HF_TOKEN")
        refused(copier_copy(workdir, "acme/text", env), "text-generation")
        assert not workdir.exists()


def test_no_network(tmp_path: Path) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    refused(copier_copy(tmp_path / "workdir", "acme/somewhere", env), "cannot be reached", "HF_ENDPOINT")
    assert not (tmp_path / "workdir").exists()


def test_broken_model_folders(tiny_vit: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_vit, tmp_path / "broken"))
    (broken / "config.json").write_text("{not json", encoding="utf-8")
    refused(copier_copy(tmp_path / "workdir", broken), "config.json")
    truncated = Path(shutil.copytree(tiny_vit, tmp_path / "truncated"))
    (truncated / "model.safetensors").write_bytes(b"\xff" * 12)
    refused(copier_copy(tmp_path / "workdir", truncated), "safetensors")
    refused(copier_copy(tmp_path / "workdir", tmp_path / "nowhere"), "nowhere")
    assert not (tmp_path / "workdir").exists()


@pytest.mark.parametrize("labels", [["cat", "dog", "cat"], ["cat", "dog", " "]], ids=["duplicate", "empty"])
def test_labels(labels: list[str], tiny_vit: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_vit, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {str(index): name for index, name in enumerate(labels)}
    config["label2id"] = {name: index for index, name in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").unlink()  # its head is of another number of classes
    refused(copier_copy(tmp_path / "workdir", folder), "label")
    assert not (tmp_path / "workdir").exists()


def test_a_few_repeated_labels_of_many_are_fine() -> None:
    """ImageNet itself names two of its thousand classes crane."""
    names = [f"class {index}" for index in range(998)] + ["crane", "crane"]
    assert not model._labels_broken(names)
    assert model._labels_broken(["cat", "cat"])


def test_dirty_clone(own_copy: Path, tiny_vit: Path) -> None:
    """A change of the person's own is neither lost nor carried to another branch."""
    for repo in ("tao-core", "tao-pytorch", "tao-deploy"):
        subprocess.run(["git", "switch", "-q", "-c", "mine"], cwd=own_copy / repo, check=True)
    changed = own_copy / "tao-core/nvidia_tao_core/__init__.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    before = snapshot(own_copy)
    refused(copier_copy(own_copy, tiny_vit, model_name="second_vit", branch_name="other"), "tao-core", "commit")
    assert snapshot(own_copy) == before


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    assert "4 KiB" in (preflight._disk_problem(tmp_path / "not" / "there") or "")
    monkeypatch.undo()
    assert preflight._disk_problem(tmp_path / "not" / "there") is None


def test_full_disk_for_real(tiny_vit: Path, tmp_path: Path) -> None:
    """A file system of half a megabyte, where the machine lets us make one."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no permission to mount a small file system: the full disk is tested with a pretended one only")
    try:
        refused(copier_copy(small / "workdir", tiny_vit, model_name=MODEL), "free disk space")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


HOSTILE = [
    '"; import os; os.system("touch PWNED"); "',
    "'''\nraise SystemExit('PWNED')\n'''",
    "{{ 7 * 7 }} {% raw %}",
    "../../../etc/passwd",
    "日本語 \u202e reversed \x00 \x1b[31m",
    "a\\nb\\",
    "x;y,z:#!",
    "${oc.env:HOME}",
]


def test_hostile_labels_and_config(tiny_vit: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_vit, tmp_path / "{{ 7*7 }} model'\""))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {str(index): name for index, name in enumerate([*HOSTILE, "nine", "ten"])}
    config["label2id"] = {name: int(index) for index, name in config["id2label"].items()}
    config["note"] = "\"\"\"\nimport os\nos.system('touch PWNED')\n\"\"\" {{ 7 * 7 }}"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    workdir = tmp_path / "workdir"
    done = copier_copy(workdir, folder, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    assert "\x1b[31m" not in done.stdout
    assert not list(tmp_path.rglob("PWNED")) and not Path("PWNED").exists()
    files = json.loads((workdir / ".tao-hf" / MODEL / "model.json").read_text(encoding="utf-8"))["files"]
    for file in files:
        text = (workdir / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            compile(text, file, "exec")
        elif file.endswith((".yml", ".yaml")):
            yaml.safe_load(text)
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {folder.name, "workdir"}, "nothing is written outside the working directory"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_hundred_thousand_labels(tiny_vit: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_vit, tmp_path / "many"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {str(index): f"class {index}" for index in range(100_000)}
    config["label2id"] = {name: int(index) for index, name in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").unlink()  # its head is of another number of classes
    done = copier_copy(tmp_path / "workdir", folder, model_name=MODEL)
    assert done.returncode == 0, done.stdout[-3000:]
    record = json.loads((tmp_path / "workdir/.tao-hf" / MODEL / "model.json").read_text(encoding="utf-8"))
    assert record["num_labels"] == 100_000


def test_welcome_checks_names_and_choices(tmp_path: Path) -> None:
    def welcome(**data: str) -> str:
        return opening.welcome({"data": data, "dst_path": tmp_path, "pretend": False})

    with pytest.raises(UserError, match="did you mean model_name"):
        welcome(model_nam="x")
    with pytest.raises(UserError, match="choose one of"):
        welcome(strategy="magic")
    assert "tao-hf-template" in welcome(strategy="hf", hf_model_id="a/b")
