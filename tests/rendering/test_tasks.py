"""What tasks say of themselves: read from their folders, refused in one sentence when it is wrong, listed nowhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_hf.base.errors import UserError
from tao_hf.base.paths import task_folder
from tao_hf.rendering import tasks
from tests.support.paths import ROOT

NAMES = tasks.task_types(ROOT)
TOY = ROOT / "tests" / "support" / "toy_task"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a template with the toy task alone."""
    (tmp_path / "networks" / "whole").mkdir(parents=True)
    shutil.copytree(TOY, tmp_path / "tasks" / "toy_depth")
    shutil.copy(ROOT / "tasks" / "other.yml", tmp_path / "tasks")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_tasks_of_the_template_are_well_described(name: str) -> None:
    about = tasks.task(ROOT, name)
    assert name in about["hub_tags"] and about["auto_models"] and about["reference"]
    assert tasks.demo(ROOT, name).is_file()
    models = about["tiny_models"]
    assert (ROOT / "tests" / "support" / "models" / f"{models['module']}.py").is_file() and models["goal"] > 0


def test_no_program_names_a_task() -> None:
    """Hooks, benchmarks and the demo learn from the folders which tasks there are."""
    named = re.compile("|".join(re.escape(word) for name in NAMES for word in (name, task_folder(name))))
    files = [file for top in ("hooks", "extensions", "benchmarks", "demo") for file in (ROOT / top).rglob("*.py")]
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if named.search(line)
    ]
    assert len(files) > 80 and found == []


def test_a_folder_is_a_task(root: Path) -> None:
    assert tasks.task_types(root) == ("toy-depth",)
    assert tasks.task(root, "toy-depth")["classes"] is False
    assert tasks.task(root, "toy-flow") is None and tasks.demo(root, "toy-depth") is None


def test_a_folder_takes_the_place_of_what_was_only_known_by_name(root: Path) -> None:
    (root / "tasks" / "other.yml").write_text((ROOT / "tasks" / "other.yml").read_text() + "depth-estimation: [X]\n")
    assert "depth-estimation" not in tasks.other_tasks(root)
    assert tasks.other_tasks(root)["panoptic-segmentation"] == ["UNIVERSAL_SEGMENTATION"]


def test_a_task_can_be_based_on_another(root: Path) -> None:
    about = {**tasks.task(root, "toy-depth"), "base": "toy-depth"}
    (root / "tasks" / "toy_flow").mkdir()
    (root / "tasks" / "toy_flow" / "task.yml").write_text(yaml.safe_dump(about), encoding="utf-8")
    tasks.task_types.cache_clear()
    assert tasks.folders(root, "toy-flow") == ("toy_depth", "toy_flow")
    assert tasks.folders(root, "toy-depth") == ("toy_depth",)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (lambda about: about.pop("classes"), "classes is missing"),
    "unknown": (lambda about: about.update(clases=True), "there is no key called clases"),
    "type": (lambda about: about.update(classes="no"), "classes must be true or false, and is 'no'"),
    "number": (lambda about: about["optim"].update(lr="1e-3"), "optim.lr must be a number, and is '1e-3'"),
    "null": (lambda about: about["optim"].update(lr_backbone="own"), "optim.lr_backbone must be a number or null"),
    "choice": (lambda about: about.update(resize="crop"), "resize must be own or exact, and is 'crop'"),
    "list": (lambda about: about.update(hub_tags="depth-estimation"), "hub_tags must be a list"),
    "entry": (lambda about: about["inputs"][0].pop("kind"), "entry 1 of inputs.kind is missing"),
    "mapping": (lambda about: about.update(tiny_models="depths"), "tiny_models must be a mapping"),
    "network": (lambda about: about.update(network="half"), "there is no networks/half/"),
    "base": (lambda about: about.update(base="toy-depth"), "base is toy-depth, and there is no other task"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_said_in_one_sentence(root: Path, case: str) -> None:
    change, words = WRONG[case]
    file = root / "tasks" / "toy_depth" / "task.yml"
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(about)
    file.write_text(yaml.safe_dump(about), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        tasks.task(root, "toy-depth")
    assert str(caught.value).startswith("tasks/toy_depth/task.yml cannot be used: ") and words in str(caught.value)


def test_what_is_no_yaml_is_said_in_one_line(root: Path) -> None:
    (root / "tasks" / "toy_depth" / "task.yml").write_text("classes: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"tasks/toy_depth/task\.yml of the template cannot be read") as caught:
        tasks.task(root, "toy-depth")
    assert "\n" not in str(caught.value)
