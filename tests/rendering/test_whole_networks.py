"""What renders for tasks whose network is the Hugging Face model whole: detection and semantic segmentation."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tao_hf.answers import validators
from tao_hf.base.errors import UserError
from tao_hf.base.paths import task_folder
from tao_hf.in_runtime import task_code
from tao_hf.in_runtime.check import consistency
from tao_hf.in_runtime.probe import common
from tao_hf.in_runtime.probe import config as model_config
from tao_hf.inspection import proof
from tao_hf.rendering import tasks, template_vars
from tests.support import trees
from tests.support.paths import ROOT
from tests.support.renderings import (
    DETECTOR,
    ESTIMATOR,
    SEGMENTER,
    detector_context,
    estimator_context,
    panoptic_context,
    render,
    segmenter_context,
)

MODEL = trees.MODEL
LONG = "a_name_as_long_as_the_longest_we_suggest"
REPOS = ("tao-core", "tao-pytorch", "tao-deploy")
VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    "detector": detector_context,
    "softmax detector": lambda: detector_context(no_object=True, frozen=True, checkpointing=False),
    "detector without a loss": lambda: detector_context(
        own_loss=False,
        reading_order=True,
        class_lists=["class_order"],
        settings={
            "class_cost": {"attribute": None, "value": 2.0},
            "class_loss_coef": {"attribute": None, "value": 1.0},
        },
    ),
    "detector of quadrilaterals": lambda: detector_context(quadrilaterals=True, downloads=True),
    "detector with long names": lambda: detector_context(
        model_name=LONG, model_class="TableTransformerForObjectDetection"
    ),
    "segmenter with long names": lambda: segmenter_context(
        model_name=LONG, model_class="Data2VecVisionForSemanticSegmentation"
    ),
    "segmenter": segmenter_context,
    "segmenter of one size": lambda: segmenter_context(
        interpolates=True, onnx={"ok": True, "exporter": "dynamo", "opset": 18, "dynamic_size": False}
    ),
    "segmenter without a loss": lambda: segmenter_context(own_loss=False, ignore=None),
    "panoptic segmenter": panoptic_context,
    "panoptic segmenter with boxes": lambda: panoptic_context(boxes=True, rated=False, empty_batches=False),
    "panoptic segmenter with long names": lambda: panoptic_context(
        model_name=LONG, model_class="Mask2FormerForUniversalSegmentation"
    ),
    "depth estimator": estimator_context,
    "estimator of disparities": lambda: estimator_context(kind="relative", max_depth=None, interpolates=True),
    "depth estimator with disparities inside": lambda: estimator_context(disparity=True, max_depth=None),
    "depth estimator with long names": lambda: estimator_context(
        model_name=LONG, model_class="PromptDepthAnythingForDepthEstimation", kind="relative"
    ),
}


@pytest.fixture(params=VARIANTS, scope="module")
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return the names that templates saw, and the folder with what they gave."""
    names, folder = VARIANTS[request.param](), tmp_path_factory.mktemp("rendered")
    for repo in REPOS:
        render(repo, names, folder / repo)
    return names, folder


def files(folder: Path) -> dict[str, str]:
    """Return the Python files below a folder, by their relative paths."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.py"))}


def test_every_file_is_python_without_traces_of_the_template(rendered: tuple[dict[str, Any], Path]) -> None:
    for name, text in files(rendered[1]).items():
        ast.parse(text)
        assert "{{" not in text.replace("{{model", "") and "{%" not in text and "\n\n\n\n" not in text, name
        assert max(len(line) for line in text.splitlines() if "noqa: E501" not in line) <= 120, name
        assert text.endswith("\n") and not text.endswith("\n\n"), name


def test_the_record_names_what_was_rendered(rendered: tuple[dict[str, Any], Path]) -> None:
    names, folder = rendered
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(names["model_record"]["files"]) == found
    assert not any("backbone_v2" in name for name in found)
    assert names["model_record"]["backbone"] == {"module": None, "names": []}


def test_native_and_deployed_share_what_must_be_the_same(rendered: tuple[dict[str, Any], Path]) -> None:
    names, folder = rendered
    for partial in (ROOT / "tasks" / task_folder(names["task_type"]) / "both").rglob("*.py.jinja"):
        pair = sorted(folder.rglob(partial.name.removesuffix(".jinja")))
        assert [path.relative_to(folder).parts[0] for path in pair] == ["tao-deploy", "tao-pytorch"], partial.name
        code = [path.read_text().replace("nvidia_tao_deploy", "nvidia_tao_pytorch") for path in pair]
        assert code[0] == code[1], partial.name


def test_images_are_resized_exactly_whatever_the_model_s_own_recipe(rendered: tuple[dict[str, Any], Path]) -> None:
    pre = rendered[0]["pre"]
    assert (pre["resize"], pre["center_crop"]) == ({"mode": "exact", "size": [24, 32]}, False)


def test_a_loss_of_ours_is_rendered_only_where_the_model_has_none() -> None:
    def has_loss(names: dict[str, Any]) -> bool:
        return any(name.endswith("model/loss.py") for name in names["model_record"]["files"])

    assert has_loss(detector_context(own_loss=False))
    assert not has_loss(detector_context())
    anything = template_vars.generated_files(ROOT, "object-detection", MODEL)  # for collisions, before a model is known
    assert set(detector_context()["model_record"]["files"]) < set(anything)


@pytest.fixture(
    params=[detector_context, segmenter_context, estimator_context], ids=["detector", "segmenter", "estimator"]
)
def workdir(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a working directory with a model, small enough to break, and its tao-core on the path."""
    monkeypatch.syspath_prepend(tmp_path / "tao-core")
    yield trees.build(tmp_path, request.param())
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvidia_tao_core"]:
        del sys.modules[name]


def broken(workdir: Path) -> dict[str, str]:
    return {finding.item: finding.detail for finding in consistency.check(workdir, MODEL) if not finding.ok}


def test_the_output_is_consistent(workdir: Path) -> None:
    items = {finding.item for finding in consistency.check(workdir, MODEL)}
    assert broken(workdir) == {}
    info = json.loads((workdir / ".tao-hf" / MODEL / "model.json").read_text())
    classes = any(name.endswith("utils/labels.py") for name in info["files"])
    left_out = {*consistency.OF_BACKBONES, *(() if classes else consistency.OF_CLASSES)}
    assert items == {item.__name__ for item in {*consistency.ITEMS} - left_out}


def test_settings_that_native_and_deployed_share_are_compared(workdir: Path) -> None:
    info = json.loads((workdir / ".tao-hf" / MODEL / "model.json").read_text())
    assert {"dataset.img_size", "dataset.augmentation.interpolation"} <= set(info["shared_settings"])
    spec = workdir / f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/evaluate.yaml"
    kept = spec.read_text()
    changes = {"dataset.augmentation.interpolation": "lanczos", "dataset.img_size": [16, 16]}
    changes |= {"model.post_process.num_select": 3} if "model.post_process" in info["shared_settings"] else {}
    changes |= {"dataset.ignore_index": 7} if "dataset.ignore_index" in info["shared_settings"] else {}
    changes |= {"dataset.max_depth": 7.0} if "dataset.max_depth" in info["shared_settings"] else {}
    assert len(changes) == 3
    for key, value in changes.items():
        content = OmegaConf.create(kept)
        OmegaConf.update(content, key, value)
        OmegaConf.save(content, spec)
        found = broken(workdir)
        assert "preprocessing" in found and "evaluate.yaml" in found["preprocessing"], key
        assert key.rpartition(".")[0] in found["preprocessing"] or key in found["preprocessing"]
    spec.write_text(kept)
    assert broken(workdir) == {}


def test_a_fixed_batch_axis_of_one_output_is_caught(workdir: Path) -> None:
    path = workdir / f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/utils/onnx_export.py"
    text = path.read_text()
    assert "for name in INPUT_NAMES + OUTPUT_NAMES" in text
    path.write_text(text.replace("for name in INPUT_NAMES + OUTPUT_NAMES", "for name in INPUT_NAMES"))
    assert list(broken(workdir)) == ["dynamic_batch"]


def test_what_a_task_has_for_the_runtime_is_installed(tmp_path: Path) -> None:
    from tao_hf.lifecycle import copy

    copy.install_tools(ROOT, tmp_path)
    tools = (tmp_path / ".tao-hf" / "lib").resolve().parent
    for task in ("image_classification", "object_detection", "image_segmentation", "depth_estimation"):
        names = {path.name for path in (tools / "tasks" / task / "runtime").iterdir()}
        assert {"synthetic.py", "comparison.py", "outputs.py"} <= names
    shutil.rmtree(tmp_path)


def test_a_strategy_for_backbones_is_refused_in_one_sentence() -> None:
    about = tasks.task(ROOT, "object-detection")
    with pytest.raises(UserError, match=r"strategy=timm is for backbones; object-detection .* choose auto or hf"):
        proof.prove({"task_type": "object-detection"}, about, {}, [], "timm", "local")


def test_a_size_that_was_not_proven_is_refused() -> None:
    names = detector_context(other_size=None)
    problem = validators.backbone_problem("hf", [64, 64], names["findings"], names["proofs"])
    assert "image_size must be 24 x 32 pixels" in problem
    assert validators.backbone_problem("hf", [24, 32], names["findings"], names["proofs"]) is None
    assert DETECTOR["other_size"] and SEGMENTER["other_size"] and ESTIMATOR["other_size"]


class Config:
    """What `labels` reads of a transformers configuration."""

    id2label = None


@pytest.mark.parametrize(
    ("table", "names", "note"),
    [
        ({"1": "person", "3": "car"}, ["N/A", "person", "N/A", "car"], "leaves out 2 numbers"),
        ({"0": "N/A", "1": "person", "2": "N/A", "3": "car"}, ["N/A", "person", "N/A", "car"], ""),
    ],
)
def test_indices_without_a_label(table: dict[str, str], names: list[str], note: str) -> None:
    found, problem, notes = model_config.labels({"id2label": table}, Config(), len(table), gaps=True)
    assert (found, problem) == (names, None)
    assert (not note and not notes) or note in notes[0]
    assert model_config.labels({"id2label": table}, Config(), len(table))[1], "a classifier has no such classes"


def test_repeated_labels_are_still_a_problem_where_indices_may_be_unused() -> None:
    table = {"0": "N/A", "1": "car", "2": "N/A", "3": "car"}
    _, problem, _ = model_config.labels({"id2label": table}, Config(), 4, gaps=True)
    assert "classes 1 and 3 are both named 'car'" in problem


def test_what_a_configuration_lists_for_each_class_follows_their_number() -> None:
    class Listed:
        def __init__(self) -> None:
            self.num_labels = 3
            self.class_order = [0, 1, 2]
            self.class_names = ["a", "b"]
            self.depths = [1, 1, 1]

    config = Listed()
    common.set_classes(config, 5)
    assert (config.num_labels, config.class_order) == (5, [0, 1, 2, 2, 2])
    assert (config.class_names, config.depths) == (["a", "b"], [1, 1, 1])
    common.set_classes(config, 2)
    assert config.class_order == [0, 1]


def test_building_a_backbone_never_downloads_its_weights() -> None:
    config = {
        "model_type": "detr",
        "use_pretrained_backbone": True,
        "backbone_config": {"model_type": "resnet", "use_pretrained_backbone": True},
    }
    kept = model_config.portable(config)
    assert not kept["use_pretrained_backbone"] and not kept["backbone_config"]["use_pretrained_backbone"]
    assert kept["use_timm_backbone"] is False and kept["backbone"] is None


def test_a_backbone_named_in_timm_is_built_without_asking_the_hub() -> None:
    """With such arguments, transformers 5 asks whether there is a repository of that name; they are the default."""
    config = {"model_type": "detr", "backbone": "resnet50", "use_timm_backbone": True, "backbone_config": None}
    arguments = {"in_chans": 3, "out_indices": [1, 2, 3, 4]}
    assert "backbone_kwargs" not in model_config.portable({**config, "backbone_kwargs": arguments})
    unusual = {**arguments, "drop_path_rate": 0.1}
    assert model_config.portable({**config, "backbone_kwargs": unusual})["backbone_kwargs"] == unusual


def test_tasks_without_a_room_have_no_outputs() -> None:
    assert task_code.load("keypoint-detection", "outputs") is None
