"""Every architecture that transformers maps to a task of ours: proven or refused for what it is, no crash."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_hf.runtime.kinds import get_runtime
from tests.support.clones import real_tao_pytorch, with_tao_pytorch
from tests.support.copies import copier_copy
from tests.support.models.tables import task_of
from tests.support.paths import STANDINS, in_runtime

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

TOLERANCE = 1e-4
GOAL = 40  # of the 42 that transformers 5.23 has; later versions have more
REAL_REUSE = {
    "vit", "deit", "dinov2", "swin", "resnet", "convnext", "convnextv2", "hiera", "segformer",
}  # fmt: skip
TIMM = {
    "beit", "regnet", "efficientnet", "mobilenet_v2", "levit", "poolformer", "mobilevit", "swinv2", "focalnet", "bit",
    "swiftformer",
}  # fmt: skip
REFUSED = {"dinat", "imagegpt", "shieldgemma2", "siglip2"}
EXTENT = ["few", pytest.param("all", marks=pytest.mark.exhaustive)]
FEW = {
    "classifiers": ("vit", "resnet", "swin", "beit", "efficientnet", "pvt", "imagegpt"),
    "detectors": ("rt_detr", "detr", "yolos", "pp_doclayout_v2", "pp_ocrv5_mobile_det"),
    "segmenters": ("segformer",),
    "depth_estimators": ("glpn", "dpt", "depth_pro"),
    "instance_segmenters": ("mask2former", "rf_detr", "oneformer"),
    "panoptic_segmenters": ("mask2former", "videomt"),
}
HANDFUL = (
    "beit", "convnext", "deit_with_teacher", "dinov2", "efficientnet", "hiera", "mobilevit", "perceiver_conv", "pvt",
    "resnet_odd", "segformer", "swin", "timm_wrapper", "vit_grayscale", "vit_two_classes", "vit_wide",
)  # fmt: skip


@pytest.fixture(scope="module")
def real_clone() -> Path | None:
    """Return a clone of tao-pytorch, None where none can be had."""
    return real_tao_pytorch()


def proven_of(table: str) -> Any:
    """Return a fixture: what tests/support/coverage_cases.py wrote of a table's models, of a few or of all."""

    @pytest.fixture(scope="module", params=EXTENT)
    def fixture(
        request: pytest.FixtureRequest,
        runtime_python: Path,
        real_clone: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> dict[str, Any]:
        return prove(table, request.param, runtime_python, real_clone, tmp_path_factory.mktemp(table))

    return fixture


proven = proven_of("classifiers")
proven_detectors = proven_of("detectors")
proven_segmenters = proven_of("segmenters")
proven_estimators = proven_of("depth_estimators")
proven_instances = proven_of("instance_segmenters")
proven_panoptic = proven_of("panoptic_segmenters")


def prove(table: str, extent: str, runtime_python: Path, real_clone: Path | None, folder: Path) -> dict[str, Any]:
    """Run tests/support/coverage_cases.py on models of a table and return what it wrote.

    ``types`` are the architectures of those models; "all" asks for more: that there is a model of every architecture.
    """
    tao_pytorch = real_clone or STANDINS / "tao_pytorch"
    command = [str(runtime_python), "-W", "ignore", "-m", "tests.support.coverage_cases"]
    names = FEW[table] if extent == "few" else ()
    done = subprocess.run(
        [*command, str(folder / "models"), str(folder / "results.json"), table, *names],
        env={**os.environ, **in_runtime(tao_pytorch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    types = {row["model_type"] for row in found["results"].values()}
    assert types == {found["results"][name]["model_type"] for name in names} if names else types == set(found["mapped"])
    return {**found, "types": types, "all": not names}


def strategies(proven: dict[str, Any]) -> dict[str, str]:
    """Return the strategy that each proven architecture gets; the first model of an architecture counts."""
    found: dict[str, str] = {}
    for result in proven["results"].values():
        if result.get("measured"):
            found.setdefault(result["model_type"], next(iter(result["measured"])))
    return found


def test_none_crashes_and_none_is_forgotten(proven: dict[str, Any]) -> None:
    assert proven["missing"] == []
    assert {name: result["crashed"] for name, result in proven["results"].items() if "crashed" in result} == {}


def test_every_architecture_is_proven_or_refused(proven: dict[str, Any]) -> None:
    refused = {result["model_type"] for result in proven["results"].values() if "refused" in result}
    assert refused == REFUSED & proven["types"]
    left = {name: result["tried"] for name, result in proven["results"].items() if result.get("measured") == {}}
    assert left == {}
    assert strategies(proven).keys() | refused == proven["types"]
    assert not proven["all"] or len(proven["types"]) >= min(GOAL, len(proven["mapped"]))


def test_all_figures_are_within_the_tolerance(proven: dict[str, Any]) -> None:
    figures = {
        name: entry["difference"]
        for name, result in proven["results"].items()
        for entry in result.get("tried", {}).values()
        if entry["passed"]
    }
    assert len(figures) >= (GOAL if proven["all"] else 5) and max(figures.values()) <= TOLERANCE


def passing(found: dict[str, Any]) -> set[str]:
    """Return the architectures all of whose models were proven."""
    assert found["missing"] == []
    assert {name: result["crashed"] for name, result in found["results"].items() if "crashed" in result} == {}
    left = {name: result.get("tried", result.get("refused")) for name, result in found["results"].items()
            if not result.get("measured")}
    return found["types"] - {found["results"][name]["model_type"] for name in left}


def test_detectors_are_proven_but_those_that_find_text_without_boxes(proven_detectors: dict[str, Any]) -> None:
    refused = {row["model_type"]: row["refused"] for row in proven_detectors["results"].values() if "refused" in row}
    assert {name for name in proven_detectors["types"] if name.startswith("pp_ocr")} == set(refused) != set()
    assert all("predicts no boxes" in sentence for sentence in refused.values())
    assert passing(proven_detectors) == proven_detectors["types"] - set(refused)
    known = {"rt_detr", "detr", "yolos"}
    if proven_detectors["all"]:
        known |= {"rt_detr_v2", "d_fine", "conditional_detr", "deformable_detr"}
    assert known <= passing(proven_detectors)


def test_detectors_score_as_they_were_trained(proven_detectors: dict[str, Any]) -> None:
    rows = [row for row in proven_detectors["results"].values() if row.get("measured")]
    passed = {row["model_type"]: row["measured"]["hf"] for row in rows}
    without_object = {"detr", "table-transformer", "yolos"} & proven_detectors["types"]
    assert {name for name in passed if passed[name]["no_object"]} == without_object
    without_loss = {name for name, measured in passed.items() if not measured["own_loss"]}
    assert without_loss == {name for name in passed if name.startswith("pp_doclayout")}
    assert passed["rt_detr"]["settings"]["num_denoising"] == {"attribute": "num_denoising", "value": 10}
    assert passed["yolos"]["settings"]["num_queries"]["attribute"] == "num_detection_tokens"
    assert "auxiliary_loss" not in passed["yolos"]["settings"]  # transformers cannot compute it there
    assert passed["detr"]["frozen"] and not passed["rt_detr"]["frozen"]


def test_segmenters_are_proven(proven_segmenters: dict[str, Any]) -> None:
    assert passing(proven_segmenters) == proven_segmenters["types"]
    passed = {name: row["measured"]["hf"] for name, row in proven_segmenters["results"].items()}
    assert passed["segformer"]["ignore"] == "semantic_loss_ignore_index"
    assert passed["segformer"]["onnx"]["dynamic_size"]
    if proven_segmenters["all"]:
        assert passed["upernet_swin"]["ignore"] == "loss_ignore_index"
        assert not passed["upernet_convnext"]["onnx"]["dynamic_size"]  # it exports, and gives other numbers


def test_depth_estimators_are_proven(proven_estimators: dict[str, Any]) -> None:
    """What a model predicts is found, too; one that counts its images is refused for that."""
    results = proven_estimators["results"]
    assert passing(proven_estimators) == proven_estimators["types"] - {"depth_pro"}
    assert "counts the images" in results["depth_pro"]["tried"]["hf"]["reason"]
    passed = {name: row["measured"]["hf"] for name, row in results.items() if row.get("measured")}
    assert (passed["glpn"]["kind"], passed["glpn"]["max_depth"]) == ("metric", 10.0)
    assert (passed["dpt"]["kind"], passed["dpt"]["max_depth"]) == ("relative", None)
    if proven_estimators["all"]:
        kinds = {name: found["kind"] for name, found in passed.items()}
        assert kinds["depth_anything"] == "relative" and kinds["depth_anything_metric"] == "metric"
        assert passed["zoedepth"]["max_depth"] == 10.0 and passed["chmv2"]["max_depth"] == 96.0


def test_instance_segmenters_are_proven_but_those_of_videos(proven_instances: dict[str, Any]) -> None:
    results = proven_instances["results"]
    refused = {row["model_type"]: row["refused"] for row in results.values() if "refused" in row}
    assert set(refused) == {"videomt"} & proven_instances["types"]
    assert passing(proven_instances) == proven_instances["types"] - set(refused)
    passed = {name: row["measured"]["hf"] for name, row in results.items() if row.get("measured")}
    assert [name for name, found in passed.items() if found["told"]] == ["oneformer"]
    kinds = ("rated", "boxes", "no_object", "empty_batches")
    assert [passed["mask2former"][kind] for kind in kinds] == [True, False, True, True]
    assert [passed["rf_detr"][kind] for kind in kinds] == [False, True, False, False]
    assert passed["rf_detr"]["settings"]["dice_loss_coef"]["attribute"] == "mask_dice_loss_coefficient"
    backbones = {name: found["backbone"] for name, found in passed.items()}
    assert backbones["mask2former"] == "model.pixel_level_module.encoder"
    assert backbones["rf_detr"] == "model.model.backbone"


def test_panoptic_segmenters_are_proven_but_those_of_videos(proven_panoptic: dict[str, Any]) -> None:
    results = proven_panoptic["results"]
    refused = {row["model_type"]: row["refused"] for row in results.values() if "refused" in row}
    assert set(refused) == {"videomt"} & proven_panoptic["types"]
    assert passing(proven_panoptic) == proven_panoptic["types"] - set(refused)
    passed = {name: row["measured"]["hf"] for name, row in results.items() if row.get("measured")}
    assert all(found["no_object"] for found in passed.values())
    assert {name for name, found in passed.items() if found["boxes"]} == {"detr"} & set(passed)


def test_strategies_are_the_expected_ones(proven: dict[str, Any], real_clone: Path | None) -> None:
    found = strategies(proven)
    reuse = REAL_REUSE if real_clone else {"vit", "resnet"}  # the stand-in carries these two
    for known, strategy in ((TIMM, "timm"), (reuse, "reuse")):
        names = known & proven["types"]
        assert len(names) >= 2 and {name: found[name] for name in names} == dict.fromkeys(names, strategy)


def test_hierarchical_networks_have_maps_at_four_strides(proven: dict[str, Any]) -> None:
    names = {"resnet", "swin", "efficientnet", "pvt"}
    if proven["all"]:
        names |= {"convnext", "regnet", "segformer", "hiera"}
    for name in sorted(names):
        measured = next(iter(proven["results"][name]["measured"].values()))
        assert [tap["stride"] for tap in measured["taps"]] == [4, 8, 16, 32], name
        widths = [tap["channels"] for tap in measured["taps"]]
        assert widths == sorted(widths), name
        assert len(measured["stages"]) >= 2 and measured["feature_dim"] > 0, name


WHOLE_WAY = {
    "classifiers": HANDFUL, "detectors": ("rt_detr", "detr", "pp_doclayout_v3"),
    "segmenters": ("segformer", "upernet_swin", "beit"), "depth_estimators": ("glpn", "dpt"),
    "instance_segmenters": ("mask2former", "rf_detr", "maskformer"),
    "panoptic_segmenters": ("mask2former", "maskformer", "eomt", "detr"),
}  # fmt: skip


def whole_way() -> list[Any]:
    """Return table and name of the models that go the whole way; in `make test` of a task that does not do so below."""
    first = {("depth_estimators", "dpt"), ("instance_segmenters", "rf_detr")}
    return [
        pytest.param(table, name, marks=[] if (table, name) in first else [pytest.mark.exhaustive])
        for table, names in WHOLE_WAY.items()
        for name in names
    ]


@pytest.mark.parametrize(("table", "name"), whole_way())
def test_one_of_them_becomes_a_tao_model(
    table: str, name: str, runtime_python: Path, real_clone: Path | None, tmp_path: Path
) -> None:
    """The generated tests train it, convert a checkpoint, export it and compare with ONNX Runtime."""
    becomes_a_tao_model(table, name, runtime_python, real_clone, tmp_path)


def in_the_versions_of_the_tao_image() -> list[Any]:
    """Return table and name of models: most tasks in `make test`, all of them and each strategy in `make test-all`."""
    first = [("classifiers", "vit"), ("detectors", "rt_detr"), ("segmenters", "segformer")]
    others = [
        ("depth_estimators", "dpt"),
        ("instance_segmenters", "mask2former"),
        ("panoptic_segmenters", "mask2former"),
        *(("classifiers", name) for name in ("beit", "textnet", "pvt", "efficientformer", "van")),
        ("detectors", "d_fine"),
        ("segmenters", "beit"),
    ]
    return [*first, *(pytest.param(table, name, marks=pytest.mark.exhaustive) for table, name in others)]


@pytest.mark.parametrize(("table", "name"), in_the_versions_of_the_tao_image())
def test_one_of_each_task_in_the_versions_of_the_tao_image(
    table: str, name: str, real_clone: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAO_HF_PYTHON", raising=False)
    monkeypatch.setenv("TAO_HF_VERSIONS", "tao-7.0.1")
    runtime = get_runtime("local")
    runtime.prepare()
    becomes_a_tao_model(table, name, runtime.python, real_clone, tmp_path)
    recorded = yaml.safe_load((tmp_path / "workdir/.tao-hf/tiny/answers.yml").read_text(encoding="utf-8"))
    assert recorded["findings"]["versions"]["transformers"] == "4.57.6"


def becomes_a_tao_model(
    table: str, name: str, runtime_python: Path, real_clone: Path | None, tmp_path: Path
) -> None:
    """Take a tiny model through the template and its generated tests."""
    make = [str(runtime_python), "-W", "ignore", "-m", f"tests.support.models.{table}", str(tmp_path), name]
    subprocess.run(make, check=True, capture_output=True, env={**os.environ, **in_runtime()})
    workdir = tmp_path / "workdir"
    source: dict[str, Any] = {"tao_source": "embedded"}
    if real_clone:
        source = {"tao_source": "auto", "base_branch": with_tao_pytorch(workdir, real_clone)}
    given = {"model_name": "tiny", "task_type": task_of(table), "run_tests": "quick", **source}
    done = copier_copy(workdir, tmp_path / name, **given)
    assert done.returncode == 0, done.stdout[-4000:]
    report = json.loads((workdir / ".tao-hf/tiny/report.json").read_text(encoding="utf-8"))
    assert report["proof"]["difference"] <= TOLERANCE
    assert {step["status"] for step in report["steps"] if step["id"] in ("consistency", "18", "19", "20")} == {"passed"}
