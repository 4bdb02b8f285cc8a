"""What 0.4.0 wrote into pytest's settings goes, and nothing of the person's with it."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from tao_hf.clones import patches, pytest_ini
from tests.support.clones import commit_all, fill, write

# Written by the code of 0.4.0: settings before it, with the model "new", and with "new" and "two".
CASES = json.loads(Path(__file__).with_name("pytest_ini_0_4_0.json").read_text(encoding="utf-8"))
MODELS = {"new": ("hf_new", ["new"]), "two": ("hf_two", ["two"])}
OWN = CASES["values below"]
BLOCK_END = "# tao-hf-template: end"


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Give a working directory with small tao-pytorch and tao-deploy folders."""
    for name in ("tao-pytorch", "tao-deploy"):
        fill(tmp_path / name, name)
    return tmp_path


def settings(path: Path) -> str | None:
    """Return a file as it is, nothing when it is not there."""
    return path.read_bytes().decode() if path.exists() else None


@pytest.mark.parametrize("repo", ["tao-pytorch", "tao-deploy"])
@pytest.mark.parametrize("title", CASES)
def test_an_update_gives_the_settings_back(workdir: Path, title: str, repo: str) -> None:
    """They are as published, or as the person had them, byte for byte; the patches of today are untouched by that."""
    case = CASES[title]
    patches.apply(workdir, "new", *MODELS["new"])
    ini = workdir / repo / case["name"]
    ini.write_bytes(case["new"].encode())
    assert patches.apply(workdir, "new", *MODELS["new"]) == [f"{repo}/{case['name']}"]
    assert settings(ini) == case["before"]
    assert patches.apply(workdir, "new", *MODELS["new"]) == []


@pytest.mark.parametrize("is_removed", [True, False])
@pytest.mark.parametrize("order", [*permutations(MODELS)])
@pytest.mark.parametrize("title", CASES)
def test_two_models_in_either_order(workdir: Path, title: str, order: tuple[str, str], is_removed: bool) -> None:
    """The markers of the second model stay until it is updated or removed as well, then the bytes are as before."""
    case = CASES[title]
    first, second = order
    ini = workdir / "tao-pytorch" / case["name"]
    ini.write_bytes(case["new and two"].encode())
    patches.apply(workdir, first, *MODELS[first])
    left = settings(ini) or ""
    assert f"{first}: tests of the model" not in left
    assert f" {second}: tests of the model {second}" in left.replace("\t", " ") and "cv_unit: " in left
    if is_removed:
        patches.unapply(workdir, second)
    else:
        patches.apply(workdir, second, *MODELS[second])
    assert settings(ini) == case["before"]


def test_settings_without_anything_of_ours_stay(workdir: Path) -> None:
    for title, case in CASES.items():
        if case["before"] is not None:
            ini = workdir / "tao-deploy" / case["name"]
            ini.write_bytes(case["before"].encode())
            patches.apply(workdir, "new", *MODELS["new"])
            patches.unapply(workdir, "new", "hf_new")
            assert settings(ini) == case["before"], title
            ini.unlink()
    binary = b"\xff[pytest]\n"
    assert pytest_ini.without(binary, "new") is binary


@pytest.mark.parametrize("is_inside", [True, False])
@pytest.mark.parametrize(
    ("title", "mine", "kept"),
    [
        ("no markers", "    mine: my own\n", "markers =\n"),  # the key is ours
        ("empty", "    mine: my own\n", "[pytest]\nmarkers =\n"),  # and so is the section
        ("empty", "addopts = -q\n", "[pytest]\n"),
    ],
)
def test_what_the_person_wrote_below_a_head_of_ours_keeps_it(title: str, mine: str, kept: str, is_inside: bool) -> None:
    """Their line stays in the section, and below the key, that it was written in."""
    begin, end, after = CASES[title]["new"].partition(BLOCK_END)
    end, after = end + after.splitlines(keepends=True)[0], "".join(after.splitlines(keepends=True)[1:])
    text = begin + (mine + end if is_inside and mine.startswith(" ") else end + mine) + after
    before = CASES[title]["before"].removesuffix(after)
    assert pytest_ini.without(text.encode(), "new") == (before + kept + mine + after).encode()


def test_what_the_person_changed_in_our_block_stays() -> None:
    """But for the marker of the model itself, which is ours in any wording."""
    text = OWN["new"].replace("    train: tests that train\n", "    train: my own words\n    # why\n    mine: my own\n")
    text = text.replace("new: tests of the model new", "new: tests of my finest model")
    rest = (pytest_ini.without(text.encode(), "new") or b"").decode()
    assert rest == OWN["before"].replace("gpu\n", "gpu\n    train: my own words\n    # why\n    mine: my own\n")


def test_a_made_file_that_the_person_extended_stays() -> None:
    text = CASES["as published"]["new"] + "addopts = -q\n"
    rest = (pytest_ini.without(text.encode(), "new") or b"").decode()
    assert rest.splitlines()[1:] == ["[pytest]", "testpaths = tests", "addopts = -q"]


def test_a_block_that_a_merge_doubled_goes() -> None:
    """Both sides of a merge held ours, one of them for another model as well."""
    begin, both, one = OWN["new and two"].find("# tao-hf"), OWN["new and two"], OWN["new"]
    block = one[begin : one.rindex("addopts")]
    text = both.replace("addopts", f"{block}addopts")
    rest = pytest_ini.without(text.encode(), "new") or b""
    assert rest.count(b"begin") == 1 and b"two: tests" in rest and b"new: tests" not in rest
    assert pytest_ini.without(rest, "two") == OWN["before"].encode()


def test_a_block_without_an_end_is_the_persons() -> None:
    """Somebody cut it apart; what is left of it is not ours to tell from theirs."""
    content = CASES["no markers"]["new"].partition(BLOCK_END)[0].encode()
    assert pytest_ini.without(content, "new") == content


@pytest.mark.usefixtures("own_git")
def test_a_committed_file_of_ours_may_be_gone(workdir: Path) -> None:
    """With the settings that 0.4.0 made deleted by an update, there is still only ours in the way of a switch."""
    repo = workdir / "tao-pytorch"
    ini = write(repo / "pytest.ini", CASES["as published"]["new and two"])
    commit_all(repo, "0.4.0")
    models = {"new": "hf_new", "two": "hf_two"}
    for model in models:
        patches.apply(workdir, model, *MODELS[model])
    assert not ini.exists()
    assert patches.only_ours(repo, "pytest.ini", models)
    (repo / "setup.py").unlink()
    assert not patches.only_ours(repo, "setup.py", models)
