"""timm's own checkpoints through the probe, inside the runtime: what is read, what is refused, that nothing is run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import STANDINS, in_runtime

pytestmark = [pytest.mark.runtime, pytest.mark.slow]


@pytest.fixture(scope="module")
def probed(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Results of the probe by name of the model in tests/support/probe_timm_cases.py."""
    out = tmp_path_factory.mktemp("timm")
    env = {**os.environ, **in_runtime(STANDINS / "tao_pytorch")}
    done = subprocess.run(
        [str(runtime_python), "-B", "-W", "ignore", "-m", "tests.support.probe_timm_cases", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
        env={key: value for key, value in env.items() if key != "HF_HUB_OFFLINE"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "results.json").read_text())


def found(probed: dict, name: str) -> dict:
    """Return the findings of a model that must have been accepted."""
    result = probed[name]
    assert result["status"] == 0, result["found"]
    return result["found"]


def exact(height: int, width: int) -> dict:
    """Return a resize straight to a size."""
    return {"mode": "exact", "height": height, "width": width}


def shortest(size: int) -> dict:
    """Return a resize of the shorter side."""
    return {"mode": "shortest_edge", "size": size}


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
# image_size, channels, hidden size, patch, classes, first labels; resize, crop, interpolation, mean and std
GOOD = {
    "resnet": ([64, 64], 3, 96, None, 1000, "tench, Tinca tinca", shortest(67), (64, 64), "bicubic", *IMAGENET),
    "hub": ([64, 64], 3, 96, None, 1000, "tench, Tinca tinca", shortest(67), (64, 64), "bicubic", *IMAGENET),
    "vit": ([64, 64], 3, 48, 8, 5, "ant", shortest(67), (64, 64), "bicubic", [0.5] * 3, [0.25] * 3),
    "wrapped": ([64, 64], 3, 48, 8, 5, "ant", shortest(67), (64, 64), "bicubic", [0.5] * 3, [0.25] * 3),
    "beside": ([64, 64], 3, 48, 8, 5, "ant", shortest(67), (64, 64), "bicubic", [0.5] * 3, [0.25] * 3),
    "by_timm": ([64, 64], 3, 48, 8, 3, "a", shortest(71), (64, 64), "bicubic", [0.5] * 3, [0.5] * 3),
    "gray": ([48, 64], 1, 96, None, 2, "LABEL_0", exact(60, 80), (48, 64), "bilinear", [0.25], [0.5]),
    "defaults": ([224, 224], 3, 96, None, 1000, "tench, Tinca tinca", shortest(256), (224, 224), "bicubic", *IMAGENET),
}


@pytest.mark.parametrize("name", GOOD)
def test_timm_checkpoint_is_understood(probed: dict, name: str) -> None:
    """Sizes, labels and preprocessing are what timm makes of the file, to the last pixel; and it exports."""
    facts = found(probed, name)
    size, channels, width, patch, classes, label, resize, crop, interpolation, mean, std = GOOD[name]
    assert (facts["image_size"], facts["channels"], facts["patch_size"]) == (size, channels, patch)
    assert facts["hidden_size"] == facts["feature_dim"] == width
    assert (facts["num_labels"], len(facts["labels"]), facts["labels"][0]) == (classes, classes, label)
    pre = facts["preprocess"]
    assert (pre["resize"], pre["interpolation"], pre["mean"], pre["std"]) == (resize, interpolation, mean, std)
    assert (pre["crop"], pre["crop_rounding"]) == ({"height": crop[0], "width": crop[1]}, "even")
    assert facts["preprocess_max_abs_diff"] < 1e-5
    assert facts["model_class"] == "TimmWrapperForImageClassification" and facts["onnx"]["ok"]


@pytest.mark.parametrize("name", GOOD)
def test_timm_names_are_found_in_the_checkpoint(probed: dict, name: str) -> None:
    """The names of timm are those of transformers without a prefix: nothing is missing, and the head is found."""
    checkpoint = found(probed, name)["checkpoint"]
    assert checkpoint["format"] == "safetensors" and checkpoint["tensors"] > 20
    assert checkpoint["missing"] == checkpoint["unexpected"] == checkpoint["mismatched"] == []
    heads = [tensor["name"] for tensor in probed[name]["report"]["tensors"] if tensor["part"] == "head"]
    assert heads and sorted(heads) == sorted(found(probed, name)["head"]["parameters"])


def test_config_is_what_builds_the_architecture(probed: dict) -> None:
    """The findings keep the architecture and its arguments, with the classes that timm repeats there left out."""
    config = found(probed, "by_timm")["config"]
    assert {*config} == {"model_type", "architecture", "model_args"}
    assert config["model_args"]["depth"] == 2 and "num_classes" not in config["model_args"]


def test_proof_passes_on_the_weights_that_timm_saved(probed: dict) -> None:
    """The configuration of the findings is rebuilt, and the raw weights are read, where the strategies are proven."""
    assert probed["proof"]["reuse"]["passed"] and probed["proof"]["reuse"]["difference"] == 0.0


def test_hub_sends_the_header_only(probed: dict) -> None:
    """A repository of library timm is inspected without its weights."""
    facts = found(probed, "hub")
    assert (facts["source"], facts["library"], facts["pipeline_tag"]) == ("hub", "timm", "image-classification")
    assert probed["downloaded"] == ["config.json", "model.safetensors"]
    assert probed["bytes_sent"] < probed["bytes_of_weights"] / 2


def test_border_that_no_recipe_has_is_said(probed: dict) -> None:
    """Pictures with borders are not what the generated code makes; the difference is measured and noted."""
    facts = found(probed, "border")
    assert facts["preprocess_max_abs_diff"] > 0.1 and any("differ" in note for note in facts["notes"])


REFUSED = {
    "size_text": ("bad_image_size", "input_size in pretrained_cfg is 'large'"),
    "size_zero": ("bad_image_size", "[3, 0, 64]"),
    "size_huge": ("bad_image_size", "1000000000"),
    "size_short": ("bad_image_size", "[64, 64]"),
    "size_float": ("bad_image_size", "64.5"),
    "size_channels": ("bad_image_size", "'x'"),
    "size_other": ("bad_image_size", "does not take the 96x96 pixels"),
    "mean_text": ("bad_config", "'gray' and not 3 numbers"),
    "mean_short": ("bad_config", "[0.5, 0.5] and not 3 numbers"),
    "mean_null": ("bad_config", "not 3 numbers"),
    "mean_bool": ("bad_config", "not 3 numbers"),
    "mean_nan": ("bad_config", "NaN"),
    "mean_infinite": ("bad_config", "inf"),
    "mean_digits": ("bad_config", "not 3 numbers"),
    "std_zero": ("bad_config", "std in pretrained_cfg"),
    "crop_pct_zero": ("bad_config", "crop_pct"),
    "crop_mode": ("bad_config", "crop_mode"),
    "interpolation": ("bad_config", "interpolation"),
    "cfg_list": ("bad_config", "pretrained_cfg in config.json is [1]"),
    "cfg_missing": ("bad_config", "no pretrained_cfg"),
    "architecture_hub": ("bad_config", "no name of timm's"),
    "architecture_hub_old": ("bad_config", "no name of timm's"),
    "architecture_folder": ("bad_config", "no name of timm's"),
    "architecture_path": ("bad_config", "no name of timm's"),
    "architecture_unknown": ("bad_config", "does not know the architecture never_heard_of"),
    "architecture_escape": ("bad_config", "no name of timm's"),
    "architecture_number": ("bad_config", "no name of timm's"),
    "architecture_missing": ("bad_config", "no name of timm's"),
    "architecture_tag": ("bad_config", "no_such_tag"),
    "args_list": ("bad_config", "model_args in config.json is [1]"),
    "args_pretrained": ("bad_config", "'pretrained'"),
    "args_checkpoint": ("bad_config", "'checkpoint_path'"),
    "args_overlay": ("bad_config", "'pretrained_cfg_overlay'"),
    "args_features": ("bad_config", "'features_only'"),
    "args_name": ("bad_config", "'a b'"),
    "args_deep": ("bad_config", "depth in model_args"),
    "args_wide": ("bad_config", "embed_dim in model_args"),
    "args_size": ("bad_image_size", "large"),
    "args_nested": ("bad_config", "norm_layer in model_args"),
    "args_classes": ("bad_config", "num_classes is 5 and in model_args 7"),
    "args_unknown": ("bad_config", "no_such_argument"),
    "args_layer": ("bad_config", "os.system"),
    "classes_zero": ("rejected_task", "no classifier"),
    "classes_text": ("bad_config", "'many'"),
    "classes_huge": ("bad_config", "num_classes"),
    "labels_few": ("bad_labels", "one name for each of 5 classes"),
    "labels_text": ("bad_labels", "label_names"),
    "labels_numbers": ("bad_labels", "label_names"),
    "labels_keys": ("bad_labels", "label_names"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_timm_checkpoints_are_refused_in_one_sentence(probed: dict, name: str) -> None:
    """Status 3, the right kind, and a sentence that names the cause."""
    result = probed[name]
    kind, words = REFUSED[name]
    assert result["status"] == 3 and result["report"] is None, result["found"]
    error = result["found"]["error"]
    assert error["kind"] == kind and words in error["message"], error
    assert error["message"].isprintable() and "Traceback" not in error["message"]


def test_nothing_is_asked_for_or_run(probed: dict) -> None:
    """No folder, whatever it names as its architecture or weights, makes anybody ask the Hub or open a file."""
    assert probed["asked"] == [] and probed["executed"] is False
