"""What is read from the clones, and what is wrong with a model name."""

from __future__ import annotations

import json
import keyword
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tao_hf.clones import survey
from tests.support.clones import fill, write

CLASSIFIERS, DETECTORS = ["classification_pyt"], ["dino", "rtdetr"]
NAMES = ("tao-core", "tao-pytorch", "tao-deploy", "tao-dataservices")


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """Give four small repositories."""
    return {name: fill(tmp_path / name, name) for name in NAMES}


@pytest.fixture
def explored(paths: dict[str, Path]) -> dict[str, object]:
    """Give what is read from them for image classification."""
    return survey.explore(paths, CLASSIFIERS)


def test_what_a_small_clone_holds(explored: dict, paths: dict[str, Path]) -> None:
    """Reference, backbones, models, scripts and converters are those of the files, and survive JSON."""
    assert json.loads(json.dumps(explored)) == explored
    assert explored["reference"]["model"] == "classification_pyt"
    locations = explored["reference"]["locations"]
    assert len(locations) == 12
    assert {place["title"]: place["path"] for place in locations if place["path"]} == {
        "config schema": "nvidia_tao_core/config/classification_pyt/default_config.py",
        "model builder": "nvidia_tao_pytorch/cv/classification_pyt/model/classifier.py",
        "training script": "nvidia_tao_pytorch/cv/classification_pyt/scripts/train.py",
        "entrypoint": "nvidia_tao_pytorch/cv/classification_pyt/entrypoint/classification.py",
        "engine builder script": "nvidia_tao_deploy/cv/classification_pyt/scripts/gen_trt_engine.py",
    }
    assert explored["backbones"] == {
        "registered": ["net_hidden", "net_tiny"],
        "exported": ["net_tiny"],
        "files": {"net.py": ["net_tiny", "net_hidden"]},
    }
    assert explored["models"] == {
        "tao-core": ["classification_pyt"],
        "tao-pytorch": ["backbone_v2", "classification_pyt", "mae"],
        "tao-deploy": ["classification_pyt"],
    }
    scripts = explored["console_scripts"]["tao-deploy"]
    assert scripts == {"old_model": "nvidia_tao_deploy.cv.old_model.entrypoint.old_model:main"}
    assert explored["converters"] == ["coco_to_kitti"]
    assert explored["unreadable"] == []


def test_nothing_of_the_clones_is_run(paths: dict[str, Path], tmp_path: Path) -> None:
    """Files that would leave a trace when run or imported leave none."""
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for path in paths.values():
        for file in [*path.rglob("*.py")]:
            file.write_text(trap + file.read_text())
    survey.explore(paths, CLASSIFIERS)
    assert not (tmp_path / "ran").exists()


def test_other_tasks_other_references(paths: dict[str, Path]) -> None:
    """The first candidate that is there wins; none there is said, and so is a task without any."""
    assert survey.explore(paths, DETECTORS)["reference"]["model"] is None
    write(paths["tao-pytorch"] / "nvidia_tao_pytorch/cv/rtdetr/__init__.py")
    assert survey.explore(paths, DETECTORS)["reference"]["model"] == "rtdetr"
    write(paths["tao-pytorch"] / "nvidia_tao_pytorch/cv/dino/__init__.py")
    assert survey.explore(paths, DETECTORS)["reference"]["model"] == "dino"
    nothing = survey.explore(paths, [])
    assert nothing["reference"] == {"model": None, "candidates": [], "locations": []}
    assert "none known" in survey.render(nothing)


def test_broken_files_are_named_and_the_rest_is_read(paths: dict[str, Path]) -> None:
    """A file that does not parse is reported and hides nothing else."""
    write(paths["tao-pytorch"] / "nvidia_tao_pytorch/cv/backbone_v2/broken.py", "def (\n")
    write(paths["tao-deploy"] / "setup.py", "\0")
    explored = survey.explore(paths, CLASSIFIERS)
    assert explored["unreadable"] == ["nvidia_tao_pytorch/cv/backbone_v2/broken.py", "tao-deploy/setup.py"]
    assert explored["backbones"]["registered"] == ["net_hidden", "net_tiny"]
    assert "broken.py" in survey.render(explored)


def test_missing_repositories_are_no_error() -> None:
    """With nothing there, everything is empty."""
    explored = survey.explore({}, CLASSIFIERS)
    assert explored["converters"] is None
    assert explored["models"] == {}
    assert survey.model_name_problem("new_model", explored) is None
    assert "tao-dataservices is not there" in survey.render(explored)


def test_the_table_is_short(explored: dict) -> None:
    """A person sees the reference, how much of it is there, and the counts."""
    table = survey.render(explored)
    assert "classification_pyt (5 of 12 reference locations)" in table
    assert "2 registered in 1 files" in table
    assert len(table.splitlines()) <= 8


def test_the_real_tao_pytorch(tao_pytorch_clone: Path) -> None:
    """The real 7.0 release registers at least 122 backbones; TAO's models and scripts are found."""
    explored = survey.explore({"tao-pytorch": tao_pytorch_clone}, CLASSIFIERS)
    assert explored["unreadable"] == []
    assert explored["reference"]["model"] == "classification_pyt"
    found = {place["title"] for place in explored["reference"]["locations"] if place["path"]}
    assert {"model builder", "Lightning module", "training script", "export script", "entrypoint"} <= found
    backbones = explored["backbones"]
    assert len(backbones["registered"]) >= 122
    assert set(backbones["exported"]) <= set(backbones["registered"])
    assert {"resnet_50", "vit_base_patch16", "swin_tiny_patch4_window7_224"} <= set(backbones["exported"])
    assert len(explored["console_scripts"]["tao-pytorch"]) >= 25
    for taken in ("dino", "mae", "clip", "resnet_50", "vit", "backbone_v2"):
        assert survey.model_name_problem(taken, explored)


@pytest.mark.parametrize("name", ["vit_base_p16", "a", "x1", "net", "deit_tiny_patch16_224", "m" * 60])
def test_good_names(explored: dict, name: str) -> None:
    """Plain snake_case names that nothing has taken are fine."""
    explored["backbones"]["files"] = {}
    assert survey.model_name_problem(name, explored) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("m" * 61, "longer than 60"),
        ("a/b", "path"),
        ("..", "path"),
        ("../x", "path"),
        ("a\\b", "path"),
        ("~x", "path"),
        (".hidden", "path"),
        ("modèle", "ASCII"),
        ("vit\u0430", "ASCII"),
        ("My-Model", "try my_model"),
        ("my model", "try my_model"),
        ("9lives", "try lives"),
        ("_x", "snake_case"),
        ("x_", "snake_case"),
        ("a__b", "snake_case"),
        ("__init__", "snake_case"),
        ("x\n", "snake_case"),
        ("{{ x }}", "snake_case"),
        ("x'); import os", "snake_case"),
        ("class", "keyword"),
        ("true", "keyword"),
        ("match", "soft keyword"),
        ("removed", "folder that .tao-hf has for itself"),
        ("json", "library"),
        ("print", "built-in"),
        ("classification_pyt", "tao-core"),
        ("mae", "tao-pytorch"),
        ("old_model", "console script of tao-pytorch"),
        ("net_tiny", "backbone"),
        ("net_hidden", "backbone"),
        ("net", "backbone file"),
        ("git", "command"),
    ],
)
def test_bad_names_are_explained_in_one_sentence(explored: dict, name: str, why: str) -> None:
    """Each says what is wrong and what to do, on one line, without echoing control characters."""
    problem = survey.model_name_problem(name, explored)
    assert problem is not None
    assert why in problem
    assert problem.isprintable()
    assert problem.isascii()
    assert problem.endswith(".")


def test_every_keyword_is_refused(explored: dict) -> None:
    """Also the ones a later Python adds."""
    for name in [*keyword.kwlist, *keyword.softkwlist]:
        assert survey.model_name_problem(name, explored)


def test_a_model_of_this_working_directory_may_come_again(paths: dict[str, Path], tmp_path: Path) -> None:
    """Its folders in the clones are its own; without the record in .tao-hf they are somebody's."""
    write(paths["tao-core"] / "nvidia_tao_core/config/mine/__init__.py")
    assert survey.model_name_problem("mine", survey.explore(paths, CLASSIFIERS, tmp_path))
    write(tmp_path / ".tao-hf/mine/answers.yml", "model_name: mine\n")
    explored = survey.explore(paths, CLASSIFIERS, tmp_path)
    assert explored["own_models"] == ["mine"]
    assert survey.model_name_problem("mine", explored) is None


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("vit-base-p16", "vit_base_p16"),
        ("resnet-50", "resnet_50"),
        ("Net.Tiny", "net_tiny_hf"),
        ("net", "net_hf"),
        ("class", "class_hf"),
        ("git", "git_hf"),
        ("modèle", "mod_le"),
        ("", "hf_model"),
        ("中文", "hf_model"),
        ("9_9", "hf_model"),
    ],
)
def test_a_free_name_is_proposed(explored: dict, name: str, free: str) -> None:
    """The default of the question is usable, whatever the model is called on the Hub."""
    assert survey.free_name(name, explored) == free


def test_a_free_name_counts_on(explored: dict, paths: dict[str, Path]) -> None:
    """When the first proposal is taken too, the next is numbered."""
    write(paths["tao-core"] / "nvidia_tao_core/config/net_hf/__init__.py")
    assert survey.free_name("net", survey.explore(paths, CLASSIFIERS)) == "net_hf_2"


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=120))
def test_any_text_becomes_a_good_name(name: str) -> None:
    """Also hostile text."""
    explored = survey.explore({}, CLASSIFIERS)
    assert survey.model_name_problem(survey.free_name(name, explored), explored) is None
    problem = survey.model_name_problem(name, explored)
    assert problem is None or (problem.isprintable() and problem.isascii())
