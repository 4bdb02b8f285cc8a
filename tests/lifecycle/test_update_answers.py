"""What an update makes of answers: a correction in a family reaches a model; those of 0.4.0 lose the code they held."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.answers import code_in
from tests.support.copies import MODEL, copier_copy
from tests.support.paths import ROOT, in_runtime
from tests.support.template_versions import Template, tao_hf, update

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

CONVERTER = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils/hf_checkpoint_converter.py"
TRAIN = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/scripts/train.py"
BACKBONE = f"tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/hf_{MODEL}.py"
VIT_RULES = "networks/backbone/families/vit_rules.py"
OF_0_4_0 = "3a35545"  # the last commit of that version


def answers(workdir: Path, model: str = MODEL) -> dict[str, Any]:
    return yaml.safe_load((workdir / f".tao-hf/{model}/answers.yml").read_bytes())


def generated(workdir: Path, model: str = MODEL) -> dict[str, str]:
    """Return the model's files in the repositories."""
    names = json.loads((workdir / f".tao-hf/{model}/model.json").read_text(encoding="utf-8"))["files"]
    return {name: (workdir / name).read_text(encoding="utf-8") for name in names}


def correct(template: Template) -> None:
    """Correct a rule of the architectures that are named as ViT is."""
    file = template.path / VIT_RULES
    text = file.read_text(encoding="utf-8")
    assert text.count('"cls_token", "")') == 1
    file.write_text(text.replace('"cls_token", "")', '"cls_token", "reshape")'), encoding="utf-8")


def test_a_correction_in_a_family_reaches_the_model(
    template: Template, tmp_path: Path, tiny_vit: Path
) -> None:
    workdir = tmp_path / "workdir"
    done = template.copy(workdir, tiny_vit, model_name=MODEL, strategy="timm")
    assert done.returncode == 0, done.stdout
    before, recorded = generated(workdir), answers(workdir)
    version = template.release(correct)
    done = update(workdir)
    assert done.returncode == 0, done.stdout
    after = generated(workdir)
    assert [name for name in after if after[name] != before.get(name)] == [CONVERTER] and after.keys() == before.keys()
    assert '"cls_token", "reshape")' in after[CONVERTER] and '"cls_token", "")' in before[CONVERTER]
    assert answers(workdir) == {**recorded, "_commit": version}


def test_a_family_that_refuses_what_it_took_before(
    template: Template, tmp_path: Path, tiny_vit: Path
) -> None:
    """Nothing is changed, and it is said what to do."""
    workdir = tmp_path / "workdir"
    assert template.copy(workdir, tiny_vit, model_name=MODEL).returncode == 0
    before, recorded = generated(workdir), answers(workdir)

    def refuse(new: Template) -> None:
        file = new.path / VIT_RULES
        text = file.read_text(encoding="utf-8")
        start = "    arguments = {\n"
        assert text.count(start) == 1
        file.write_text(text.replace(start, f'    require(False, "its numbers differ")\n{start}'), encoding="utf-8")

    template.release(refuse)
    for done in (update(workdir), tao_hf(workdir, "update", MODEL)):
        assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
        assert "its numbers differ" in done.stdout and "copier copy" in done.stdout, done.stdout
        assert generated(workdir) == before and answers(workdir) == recorded
        assert not (workdir / f".tao-hf/{MODEL}/incoming").exists()


@pytest.mark.parametrize("strategy", ["reuse", "timm", "hf"])
def test_no_recorded_answer_holds_code(strategy: str, tmp_path: Path, tiny_vit: Path) -> None:
    done = copier_copy(tmp_path / "workdir", tiny_vit, model_name=MODEL, strategy=strategy)
    assert done.returncode == 0, done.stdout
    found = answers(tmp_path / "workdir")
    assert not code_in(found)
    assert found["proofs"].keys() == {"tried", "measured", "weights", "against"}
    assert found["preflight"] == {"strategy": strategy} and "settled" not in found


@pytest.mark.parametrize(
    ("table", "name"),
    [("segmenters", "segformer"), pytest.param("detectors", "yolos", marks=pytest.mark.exhaustive)],
)
def test_no_recorded_answer_of_a_whole_network_holds_code(
    table: str, name: str, tmp_path: Path, runtime_python: Path
) -> None:
    make = [str(runtime_python), "-W", "ignore", "-m", f"tests.support.models.{table}", str(tmp_path), name]
    subprocess.run(make, check=True, capture_output=True, env={**os.environ, **in_runtime()})
    done = copier_copy(tmp_path / "workdir", tmp_path / name, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    found = answers(tmp_path / "workdir")
    assert not code_in(found) and "network" not in found["proofs"]["measured"]["hf"]


@pytest.fixture(scope="module")
def since_0_4_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the template with the tags 0.4.0, which is the real one, and 0.5.0, which is what lies on the disk."""
    path = tmp_path_factory.mktemp("since") / "tao-hf-template"
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"]

    def run(*command: str, cwd: Path | None = None) -> str:
        return subprocess.run([*git, *command], cwd=cwd, check=True, capture_output=True, text=True).stdout

    try:
        run("cat-file", "-e", f"{OF_0_4_0}^{{commit}}", cwd=ROOT)
        run("clone", "--quiet", "--no-hardlinks", str(ROOT), str(path))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the project's history is not here: {error.stderr.strip()}")
    run("tag", "--force", "0.4.0", OF_0_4_0, cwd=path)
    for name in run("ls-files", "-z", cwd=path).split("\0"):
        if name:
            (path / name).unlink()
    for name in run("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    run("add", "--all", cwd=path)
    run("commit", "--quiet", "--allow-empty", "--message", "0.5.0", cwd=path)
    run("tag", "--force", "0.5.0", cwd=path)
    return path


@pytest.mark.parametrize("strategy", ["reuse", pytest.param("timm", marks=pytest.mark.exhaustive)])
def test_a_model_of_0_4_0_with_edits(
    since_0_4_0: Path, strategy: str, tmp_path: Path, tiny_vit: Path
) -> None:
    workdir = tmp_path / "workdir"
    made = Template.__new__(Template)
    made.path = since_0_4_0
    done = made.copy(workdir, tiny_vit, version="0.4.0", model_name=MODEL, strategy=strategy)
    assert done.returncode == 0, done.stdout
    old = answers(workdir)
    assert code_in(old) and "settled" in old
    for name in (TRAIN, BACKBONE):
        (workdir / name).write_text(f"# mine\n{(workdir / name).read_text(encoding='utf-8')}", encoding="utf-8")

    done = update(workdir)
    assert done.returncode == 0 and "<<<<<<<" not in "".join(generated(workdir).values()), done.stdout
    new = answers(workdir)
    assert not code_in(new) and new["_commit"] == "0.5.0"
    assert new["preflight"] == old["settled"] and "settled" not in new
    assert {"configuration", "variants"} < new["proofs"]["measured"][strategy].keys()
    unchanged = {"proofs", "preflight", "settled", "_commit"}
    assert {k: v for k, v in new.items() if k not in unchanged} == {k: v for k, v in old.items() if k not in unchanged}
    for name in (TRAIN, BACKBONE):
        assert generated(workdir)[name].startswith("# mine\n# SPDX"), "what the person wrote is there, once"

    undone = tao_hf(workdir, "update", MODEL, "--undo")
    assert undone.returncode == 0 and answers(workdir) == old, undone.stdout
    again = tao_hf(workdir, "update", MODEL)
    assert again.returncode == 0 and answers(workdir) == new, again.stdout
    assert tao_hf(workdir, "update", MODEL).returncode == 0
    assert answers(workdir) == new
