"""The rule of layers: the path in the repositories is the path in the source, and a later layer wins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import meta

from tao_hf.rendering import environment, layers, tasks, template_vars
from tests.rendering.rendered_tree import CASES, differences, manifest
from tests.support.copies import MODEL
from tests.support.paths import ROOT
from tests.support.renderings import rendered

LAYER_FOLDERS = ("template", "networks", "tasks")


@pytest.fixture(params=CASES)
def names(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the names that the templates of one case see."""
    return CASES[request.param]()


def placeholder(path: str, names: dict[str, Any]) -> str:
    return path.replace(names["model_name"], "{{model_name}}")


def layer_and_path(source: str, repo: str) -> tuple[str, str]:
    """Return the layer of a template, and the path of what it renders."""
    for folder, place in ((layers.BOTH, f"{repo}/{layers.PACKAGES[repo]}"), (repo, repo)):
        layer, found, rest = source.partition(f"/{folder}/")
        if found:
            return layer, f"{place}/{rest.removesuffix('.jinja')}"
    raise AssertionError(f"{source} is no template of {repo}")


def referenced(source: str) -> set[str]:
    """Return the templates that a template extends, includes or imports."""
    text = (ROOT / source).read_text(encoding="utf-8")
    found = set(meta.find_referenced_templates(environment.make(ROOT).parse(text)))
    assert None not in found, f"{source} computes the name of another template"
    return found


def extended(source: str) -> str | None:
    tag, start = "{% extends ", (ROOT / source).read_text(encoding="utf-8").partition("\n")[0]
    return start.removeprefix(tag).split('"')[1] if start.startswith(tag) else None


def test_the_path_of_a_file_is_the_path_of_its_source(names: dict[str, Any]) -> None:
    for file in names["files"]:
        layer, path = layer_and_path(file.source, file.repo)
        assert path == placeholder(file.path, names)
        assert layer.partition("/")[0] in LAYER_FOLDERS
        assert file.path.startswith(f"{file.repo}/") and layers.PACKAGES[file.repo] == file.package
    assert [file.path for file in names["files"]] == names["model_record"]["files"]


def test_an_extended_template_is_an_earlier_layer_s_of_the_same_path(names: dict[str, Any]) -> None:
    strategy = next(iter(names["proofs"]["tried"]))
    order = layers.layers_of(ROOT, names["task"]["network"], strategy, *tasks.folders(ROOT, names["task_type"]))
    chains = 0
    for file in names["files"]:
        source = file.source
        while base := extended(source):
            earlier, later = layer_and_path(base, file.repo), layer_and_path(source, file.repo)
            assert earlier[1] == later[1], source
            assert order.index(earlier[0]) <= order.index(later[0]) and base != source, source
            source, chains = base, chains + 1
    assert chains > 5


def test_every_template_is_reached_by_some_model() -> None:
    reached: set[str] = set()
    waiting = {file.source for names in CASES.values() for file in names()["files"]}
    while waiting:
        source = waiting.pop()
        reached.add(source)
        waiting |= referenced(source) - reached
    all_templates = {
        path.relative_to(ROOT).as_posix()
        for folder in LAYER_FOLDERS
        for path in (ROOT / folder).rglob("*.jinja")
        if "workdir" not in path.parts
    }
    assert all_templates - reached == set()
    assert reached - all_templates == set()


def test_every_task_and_strategy_is_among_the_cases() -> None:
    models = [case() for case in CASES.values()]
    shown = {(names["task_type"], next(iter(names["proofs"]["tried"]))) for names in models}
    offered = {
        (task, strategy)
        for task in tasks.task_types(ROOT)
        for strategy in tasks.task(ROOT, task)["strategies"]
    }
    assert shown == offered


def made(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = root / (name.replace("__", "/") + ".jinja")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_later_layer_wins(tmp_path: Path) -> None:
    base = "{% block part %}first{% endblock %} of {{ file.package }}"
    root = made(tmp_path, template__both__cv__one=base, template__both__cv__two=base)
    for folder, name in (("networks/n/tao-deploy/nvidia_tao_deploy/cv", "one"), ("tasks/t/both/cv", "two")):
        (root / folder).mkdir(parents=True)
        (root / folder / f"{name}.jinja").write_text(
            f'{{% extends "template/both/cv/{name}.jinja" %}}{{% block part %}}second{{% endblock %}}'
        )
    (root / "tasks/t/tao-pytorch/nvidia_tao_pytorch/cv").mkdir(parents=True)
    (root / "tasks/t/tao-pytorch/nvidia_tao_pytorch/cv/two.jinja").write_text("its own")
    order = layers.layers_of(root, "n", "s", "t")
    assert order == ("template", "networks/n", "tasks/t")
    env = environment.make(root)
    found = {
        file.path: env.get_template(file.source).render(file=file) for file in layers.files(root, order, "some_model")
    }
    assert found == {
        "tao-deploy/nvidia_tao_deploy/cv/one": "second of nvidia_tao_deploy",
        "tao-deploy/nvidia_tao_deploy/cv/two": "second of nvidia_tao_deploy",
        "tao-pytorch/nvidia_tao_pytorch/cv/one": "first of nvidia_tao_pytorch",
        "tao-pytorch/nvidia_tao_pytorch/cv/two": "its own",
    }


def test_a_strategy_has_a_layer_between_network_and_task(tmp_path: Path) -> None:
    root = made(
        tmp_path,
        **{"networks__n__tao-core__one": "", "networks__n__strategies__s__tao-core__one": "", "tasks__t__x": ""},
    )
    order = layers.layers_of(root, "n", "s", "t")
    assert order == ("networks/n", "networks/n/strategies/s", "tasks/t")
    assert layers.source(root, order, "tao-core/one") == "networks/n/strategies/s/tao-core/one.jinja"
    assert layers.source(root, order[:1], "tao-core/one") == "networks/n/tao-core/one.jinja"
    assert layers.files(root, order, "m", frozenset({"tao-core/one"})) == ()


def test_copier_is_told_the_settings_of_the_environment() -> None:
    told = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    assert told["_envops"] == environment.SETTINGS
    assert [path.name for path in (ROOT / told["_subdirectory"]).iterdir()] == [".tao-hf"], "a clone may be a link"


@pytest.mark.runtime
def test_copier_renders_what_our_environment_renders(copied: Path) -> None:
    answers = yaml.safe_load((copied / ".tao-hf" / MODEL / "answers.yml").read_text(encoding="utf-8"))
    names = {**answers, **template_vars.derived(ROOT, answers)}
    found = {path: (copied / path).read_text(encoding="utf-8") for path in names["model_record"]["files"]}
    assert found == rendered(names)
    assert json.loads((copied / ".tao-hf" / MODEL / "model.json").read_text()) == json.loads(
        json.dumps(names["model_record"])
    )


def test_the_tree_is_that_of_another_version() -> None:
    """With a manifest that another version wrote: see `rendered_tree`."""
    named = os.environ.get("TAO_HF_MANIFEST")
    if not named:
        pytest.skip("TAO_HF_MANIFEST names no manifest of another version")
    assert differences(json.loads(Path(named).read_text(encoding="utf-8")), manifest()) == []


def test_a_changed_file_is_a_difference() -> None:
    now = manifest()
    other = json.loads(json.dumps(now))
    path = next(iter(other["detector"]))
    other["detector"][path] = "0"
    del other["segmenter"][path]
    assert differences(now, now) == []
    assert differences(other, now) == [f"detector: {path}", f"segmenter: {path}"]
