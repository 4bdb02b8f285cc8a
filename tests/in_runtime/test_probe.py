"""The probe, run inside the runtime on tiny models: what it finds, what it measures, what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tao_hf.in_runtime.probe import task
from tao_hf.in_runtime.probe.common import ProbeError
from tests.support.paths import in_runtime

pytestmark = [pytest.mark.runtime, pytest.mark.slow]


@pytest.fixture(scope="module")
def probed(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Results of the probe by name of the model in tests/support/probe_cases.py."""
    out = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [str(runtime_python), "-B", "-W", "ignore", "-m", "tests.support.probe_cases", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **in_runtime(), "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "results.json").read_text())


def found(probed: dict, name: str) -> dict:
    """Return the findings of a model that must have been accepted."""
    result = probed[name]
    assert result["status"] == 0, result["found"]
    return result["found"]


# name: image_size, channels, hidden_size, layers, patch, feature_dim, labels, head modules
ANATOMY = {
    "vit": ([32, 32], 1, 32, 3, 8, 32, 10, ["classifier"]),
    "vit_wide": ([32, 48], 3, 32, 3, 8, 32, 10, ["classifier"]),
    "convnext": ([64, 64], 3, 32, 6, 4, 32, 5, ["classifier"]),
    "swin": ([32, 32], 3, 32, 4, 4, 32, 3, ["classifier"]),
    "resnet": ([384, 384], 3, 16, 2, None, 16, 7, ["classifier.1"]),
    "deit": ([32, 32], 3, 32, 2, 8, 32, 4, ["cls_classifier", "distillation_classifier"]),
    "mobilenet_v2": ([32, 32], 3, None, None, None, 1280, 6, ["classifier"]),
    "beit": ([32, 32], 3, 32, 2, 8, 32, 3, ["classifier"]),
    "levit": ([64, 64], 3, 32, 3, 16, 32, 3, ["classifier.linear"]),
    "efficientnet": ([32, 32], 3, None, 64, None, 320, 3, ["classifier"]),
    "mobilevit": ([64, 64], 3, 32, None, 2, 64, 3, ["classifier"]),
}


@pytest.mark.parametrize("name", ANATOMY)
def test_anatomy_is_found(probed: dict, name: str) -> None:
    """Sizes, depth, the width that enters the classifier and the head, for every family of architectures."""
    facts = found(probed, name)
    keys = ("image_size", "channels", "hidden_size", "num_layers", "patch_size", "feature_dim", "num_labels")
    assert [*(facts[key] for key in keys), facts["head"]["modules"]] == list(ANATOMY[name])
    assert facts["pipeline_tag"] == facts["task_type"] == "image-classification"
    assert facts["labels"] == [f"thing {index}" for index in range(facts["num_labels"])]


@pytest.mark.parametrize("name", ANATOMY)
def test_export_is_proven_on_numbers(probed: dict, name: str) -> None:
    """Every one of these exports with the first exporter and agrees with PyTorch, but not by computing nothing."""
    onnx = found(probed, name)["onnx"]
    assert onnx["ok"], onnx
    assert (onnx["exporter"], onnx["opset"], onnx["failing_op"]) == ("torchscript", 17, None)
    assert 1e-12 < onnx["max_abs_diff"] < 1e-2  # absolute, whatever the size of the logits


@pytest.mark.parametrize("name", ANATOMY)
def test_checkpoint_is_read_from_its_header(probed: dict, name: str) -> None:
    """What save_pretrained wrote loads without a missing name, old parameter names included."""
    checkpoint = found(probed, name)["checkpoint"]
    assert checkpoint["format"] == "safetensors" and checkpoint["tensors"] > 20
    assert checkpoint["missing"] == checkpoint["unexpected"] == checkpoint["mismatched"] == []
    tensors = probed[name]["report"]["tensors"]
    assert len(tensors) == checkpoint["tensors"]
    assert {"head", "backbone"} == {tensor["part"] for tensor in tensors}


def exact(height: int, width: int) -> dict:
    """Return a resize straight to a size."""
    return {"mode": "exact", "height": height, "width": width}


def shortest(size: int) -> dict:
    """Return a resize of the shorter side."""
    return {"mode": "shortest_edge", "size": size}


def crop(side: int) -> dict:
    """Return a square centre crop."""
    return {"height": side, "width": side}


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
PREPROCESS = {
    "vit": (exact(32, 32), None, "bilinear", [0.25], [0.5]),
    "vit_wide": (exact(32, 48), None, "bicubic", *HALF),
    "convnext": (shortest(73), crop(64), "bicubic", *HALF),
    "swin": (exact(32, 32), None, "bilinear", [0.0] * 3, [1.0] * 3),
    "resnet": (exact(384, 384), None, "bicubic", *HALF),
    "deit": (exact(40, 40), crop(32), "bicubic", *HALF),
    "mobilenet_v2": (shortest(40), crop(32), "bilinear", *HALF),
    "beit": (exact(32, 32), None, "bicubic", *HALF),
    "levit": (shortest(64), crop(64), "bicubic", *IMAGENET),
    "efficientnet": (exact(32, 32), None, "bicubic", [0.75] * 3, [0.125] * 3),
    "mobilevit": (shortest(64), crop(64), "bicubic", [0.0] * 3, [1.0] * 3),
    "old_spelling": (exact(32, 32), None, "bicubic", [0.25], [0.5]),
}


@pytest.mark.parametrize("name", PREPROCESS)
def test_preprocessing_equals_the_processor(probed: dict, name: str) -> None:
    """Every spelling comes out as one recipe, and its pixels equal those of the Hugging Face processor."""
    facts = found(probed, name)
    pre = facts["preprocess"]
    resize, cut, interpolation, mean, std = PREPROCESS[name]
    assert (pre["resize"], pre["crop"], pre["interpolation"]) == (resize, cut, interpolation)
    assert pre["mean"] == pytest.approx(mean, abs=1e-6) and pre["std"] == pytest.approx(std, abs=1e-6)
    assert facts["preprocess_max_abs_diff"] < 1e-4


def test_bgr_processor_is_reported(probed: dict) -> None:
    """MobileViT feeds BGR; saying nothing would silently cost accuracy."""
    facts = found(probed, "mobilevit")
    assert facts["preprocess"]["channel_order"] == "BGR" and any("BGR" in note for note in facts["notes"])
    assert found(probed, "vit_wide")["preprocess"]["channel_order"] == "RGB"


def test_no_preprocessor_config_is_said(probed: dict) -> None:
    """Without a preprocessor config the assumption is in the notes."""
    facts = found(probed, "no_preprocessor")
    assert facts["preprocess"]["resize"] == exact(32, 32) and facts["preprocess"]["mean"] == [0.5]
    assert any("no preprocessor config" in note and "ViTImageProcessor" in note for note in facts["notes"])


# By model_type and image_size in config.json: size, resize, crop, mean, channel order.
DEFAULTS = {
    "rt_detr": ([640, 640], exact(640, 640), None, [0.0] * 3, "RGB"),
    "segformer": ([512, 512], exact(512, 512), None, IMAGENET[0], "RGB"),
    "segformer 224": ([512, 512], exact(512, 512), None, IMAGENET[0], "RGB"),  # left behind in published files
    "swin 384": ([384, 384], exact(384, 384), None, [0.5] * 3, "RGB"),
    "dinov2 518": ([518, 518], shortest(518), crop(518), [0.48145466, 0.4578275, 0.40821073], "RGB"),
    "levit 112": ([112, 112], shortest(128), crop(112), IMAGENET[0], "RGB"),
    "mobilevitv2 256": ([256, 256], shortest(224), crop(256), [0.0] * 3, "BGR"),
    "timm_wrapper": ([224, 224], exact(224, 224), None, [0.5] * 3, "RGB"),  # which has none to make
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_the_architectures_own_image_processor_is_the_default(probed: dict, case: str) -> None:
    """A model without a preprocessor config gets what transformers does for its architecture, at the model's size."""
    read = probed["defaults"][case]
    size, resize, cut, mean, order = DEFAULTS[case]
    assert (read["size"], read["resize"], read["crop"], read["channel_order"]) == (size, resize, cut, order)
    assert read["mean"] == pytest.approx(mean, abs=1e-6)
    assert read["difference"] is None if case == "timm_wrapper" else read["difference"] < 1e-4


def test_size_that_the_model_refuses_is_replaced(probed: dict) -> None:
    """A processor of 64 pixels before a model of 32 cannot run: the model's size is used, and it is said."""
    facts = found(probed, "other_size")
    assert facts["image_size"] == [32, 32] and facts["preprocess"]["resize"] == exact(32, 32)
    assert any("64x64" in note for note in facts["notes"])


def test_config_is_portable(probed: dict) -> None:
    """The config in the findings has the architecture and nothing about labels, origin or versions."""
    config = found(probed, "vit")["config"]
    assert config["model_type"] == "vit" and config["hidden_size"] == 32
    assert not {"id2label", "label2id", "architectures", "transformers_version", "dtype", "_name_or_path"} & set(config)


def test_sharded_checkpoint(probed: dict) -> None:
    """All shards' headers are read."""
    assert found(probed, "sharded")["checkpoint"]["tensors"] == found(probed, "vit")["checkpoint"]["tensors"]


def test_one_class_an_image_is_what_classifiers_do(probed: dict) -> None:
    """Of the problem types the one that TAO's classifiers solve is no reason to refuse."""
    assert found(probed, "one_problem")["num_labels"] == 10
    assert found(probed, "two_counts")["num_labels"] == 10  # the names count; what PvtConfig writes is a default


def test_detector_is_exported_too(probed: dict) -> None:
    """Its logits and boxes are compared as matched sets; its pictures are resized to one size."""
    facts = found(probed, "yolos")
    assert facts["task_type"] == "object-detection" and facts["image_size"] == [32, 48]
    assert facts["onnx"]["ok"] and not facts["onnx"]["dynamic_size"] and facts["onnx"]["max_abs_diff"] < 1e-4
    assert facts["preprocess"]["resize"] == {"mode": "exact", "height": 32, "width": 48}
    assert facts["preprocess"]["crop"] is None


def test_which_of_its_tasks_a_model_is_for() -> None:
    """What is asked for, else what its name says, else the likeliest."""
    found = {"image-segmentation": None, "instance-segmentation": None}
    assert task.choose(found, None, ["mask2former-swin-tiny", ""]) == "image-segmentation"
    assert task.choose(found, None, ["mask2former-swin-tiny-coco-instance", ""]) == "instance-segmentation"
    assert task.choose(found, None, ["mine", "facebook/maskformer_instances"]) == "image-segmentation"
    assert task.choose(found, None, ["mine", "facebook/Mask2Former-Instance"]) == "instance-segmentation"
    assert task.choose(found, "image-segmentation", ["coco-instance"]) == "image-segmentation"
    panoptic = {**found, "panoptic-segmentation": None}
    assert task.choose(panoptic, None, ["facebook/mask2former-swin-base-coco-panoptic"]) == "panoptic-segmentation"
    with pytest.raises(ProbeError, match=r"does not fit the model, .* image-segmentation or instance-segmentation"):
        task.choose(found, "object-detection", [])


def test_hostile_labels_stay_text(probed: dict) -> None:
    """Labels that look like code, paths or escapes are kept as one line of text each, and nothing runs."""
    labels = found(probed, "hostile")["labels"]
    assert labels[0] == "'; import os; os.system('x') #" and labels[2] == "{{ 7*7 }}" and labels[5] == "naïve 猫 🐱"
    assert labels[4] == "a b [31mred"
    assert not any(char in label for label in labels for char in "\n\r\x1b")
    assert probed["executed"] is False


def test_a_hundred_thousand_labels(probed: dict) -> None:
    """A huge label table neither fails nor takes long."""
    facts = found(probed, "many_labels")
    assert len(facts["labels"]) == facts["num_labels"] == 100_000 and facts["seconds"] < 60


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("labels_twice", "classes 0 and 2 are both named 'crane'"),
        ("labels_empty", "class 1 has an empty name"),
        ("labels_gap", "without gaps"),
    ],
)
def test_label_problems_are_findings(probed: dict, name: str, words: str) -> None:
    """Unusable names are reported as such; whether they matter is the caller's decision."""
    assert words in found(probed, name)["label_problem"]


def test_good_labels_are_no_problem(probed: dict) -> None:
    """A sound table gives no problem."""
    assert found(probed, "vit")["label_problem"] is None


def test_pickled_weights_are_not_opened(probed: dict) -> None:
    """pytorch_model.bin is named as pickled and never loaded (the file would make a directory)."""
    assert found(probed, "pickle")["checkpoint"]["format"] == "pytorch"
    assert probed["executed"] is False


def test_remote_code_is_ignored_where_transformers_has_its_own(probed: dict) -> None:
    """auto_map beside a native model_type: the native class is used, the repository's file is not run."""
    assert found(probed, "remote_but_native")["model_class"] == "ViTForImageClassification"
    assert probed["executed"] is False


REFUSED = {
    "size_zero": ("bad_image_size", "0"),
    "size_negative": ("bad_image_size", "-8"),
    "size_absurd": ("bad_image_size", "1000000000"),
    "size_text": ("bad_image_size", "large"),
    "size_empty": ("bad_image_size", "[]"),
    "size_zero_pre": ("bad_image_size", "preprocessor"),
    "json_broken": ("bad_config", "not valid JSON"),
    "json_list": ("bad_config", "no JSON object"),
    "json_nan": ("bad_config", "NaN"),
    "json_deep": ("bad_config", "config.json"),
    "json_bytes": ("bad_config", "config.json"),
    "config_missing": ("bad_config", "no config.json"),
    "pre_broken": ("bad_config", "preprocessor_config.json"),
    "pre_std_zero": ("bad_config", "image_std"),
    "layers_million": ("bad_config", "1000000 layers"),
    "width_text": ("bad_config", "wide"),
    "no_architecture": ("bad_config", "architectures"),
    "unknown_type": ("bad_config", "model_type"),
    "remote_code": ("remote_code", "never run"),
    "four_channels": ("rejected_task", "images of 4 channels"),
    "arch_base": ("rejected_task", "no head"),
    "arch_nlp": ("rejected_task", "NLP"),
    "arch_llm": ("rejected_task", "language model"),
    "arch_audio": ("rejected_task", "audio"),
    "arch_vlm": ("rejected_task", "multimodal"),
    "labels_list": ("bad_labels", "id2label"),
    "labels_keys": ("bad_labels", "id2label"),
    "weights_cut": ("bad_checkpoint", "cut short"),
    "weights_tiny": ("bad_checkpoint", "header length"),
    "weights_huge_header": ("bad_checkpoint", "header length"),
    "weights_garbage": ("bad_checkpoint", "not JSON"),
    "weights_list": ("bad_checkpoint", "not a JSON object"),
    "weights_shape": ("bad_checkpoint", "makes no sense"),
    "weights_dtype": ("bad_checkpoint", "makes no sense"),
    "no_tokenizer": ("bad_config", "the task is instance"),
    "other_head": ("bad_labels", "names 4 classes"),
    "other_width": ("bad_checkpoint", "do not fit config.json"),
    "one_output": ("rejected_task", "a regression head"),
    "regression": ("rejected_task", "problem_type regression"),
    "multi_label": ("rejected_task", "problem_type multi_label_classification"),
    "quantized": ("bad_config", "quantized (bitsandbytes"),
    "shard_escapes": ("bad_checkpoint", "is not a safetensors file name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_models_are_refused_in_one_sentence(probed: dict, name: str) -> None:
    """Status 3, the right kind, a sentence that names the cause, and no report."""
    result = probed[name]
    kind, words = REFUSED[name]
    assert result["status"] == 3 and result["report"] is None
    error = result["found"]["error"]
    assert error["kind"] == kind and words in error["message"], error
    assert error["message"].isprintable() and "Traceback" not in error["message"]
    assert result["printed"].isprintable() or all(line.isprintable() for line in result["printed"].splitlines())


TAGS = {
    "text-classification": "NLP",
    "token-classification": "NLP",
    "fill-mask": "NLP",
    "translation": "NLP",
    "text-generation": "a language model",
    "automatic-speech-recognition": "audio",
    "audio-classification": "audio",
    "text-to-speech": "audio",
    "image-text-to-text": "multimodal",
    "visual-question-answering": "multimodal",
    "image-to-text": "multimodal",
    "text-to-image": "image generator",
    "video-classification": "video",
    "image-feature-extraction": "without a task head",
    "tabular-regression": "not for images",
    "x\x1b[31m": "something else",
}


def refuse(tag: str) -> str | None:
    """Return what the probe says to a Hub tag; its module needs neither torch nor transformers for this."""
    try:
        task.check_tag(tag)
    except ProbeError as error:
        assert error.kind == "rejected_task"
        return error.message
    return None


@pytest.mark.parametrize("tag", TAGS)
def test_other_tags_are_rejected_by_family(tag: str) -> None:
    """Everything outside TAO's tasks is refused, naming what it is."""
    message = refuse(tag)
    assert message and TAGS[tag] in message and message.isprintable()


@pytest.mark.parametrize(
    "tag",
    [
        "image-classification",
        "object-detection",
        "image-segmentation",
        "instance-segmentation",
        "panoptic-segmentation",
        "depth-estimation",
        "keypoint-detection",
        "zero-shot-object-detection",
        "zero-shot-image-classification",
    ],
)
def test_vision_tags_are_accepted(tag: str) -> None:
    """The nine tags that TAO takes."""
    assert refuse(tag) is None
