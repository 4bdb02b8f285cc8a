"""Make tiny models, good and bad, and probe them all in one process of the runtime.

    python -m tests.support.probe_cases OUT

Run by the fixture `probed` in test_probe.py; one import of torch for all cases keeps the suite short.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import struct
import sys
from pathlib import Path

import torch
import transformers
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    BeitImageProcessor,
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextImageProcessor,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessor,
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessor,
    LevitConfig,
    LevitForImageClassification,
    LevitImageProcessor,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    MobileNetV2ImageProcessor,
    MobileViTConfig,
    MobileViTForImageClassification,
    MobileViTImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    YolosConfig,
    YolosForObjectDetection,
)

from tao_hf.in_runtime.probe import preprocess
from tao_hf.in_runtime.probe import run as probe
from tao_hf.in_runtime.probe.source import Source


def names(count: int) -> dict:
    """Return the label arguments of a configuration."""
    table = {index: f"thing {index}" for index in range(count)}
    return {"id2label": table, "label2id": {name: index for index, name in table.items()}}


def vit(channels: int = 1, size=32, **more) -> ViTForImageClassification:
    """Return a ViT with three layers of width 32."""
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=64,
            image_size=size,
            patch_size=8,
            num_channels=channels,
            **{**names(10), **more},
        )
    )


def good(out: Path) -> None:
    """Save one tiny model per architecture."""

    def save(name, model, processor) -> None:
        model.save_pretrained(out / name)
        if processor:
            processor.save_pretrained(out / name)

    square = {"height": 32, "width": 32}
    save("vit", vit(), ViTImageProcessor(size=square, image_mean=[0.25], image_std=[0.5]))
    save("vit_wide", vit(3, (32, 48)), ViTImageProcessor(size={"height": 32, "width": 48}, resample=3))
    save(
        "convnext",
        ConvNextForImageClassification(
            ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 3, 1], image_size=64, **names(5))
        ),
        ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875, resample=3),
    )
    save(
        "swin",
        SwinForImageClassification(
            SwinConfig(
                image_size=32, patch_size=4, window_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 2], **names(3)
            )
        ),
        ViTImageProcessor(size=square, do_normalize=False),
    )
    save(
        "resnet",
        ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **names(7))
        ),
        ConvNextImageProcessor(size={"shortest_edge": 384}, resample=3),
    )
    save(
        "deit",
        DeiTForImageClassificationWithTeacher(
            DeiTConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                image_size=32,
                patch_size=8,
                **names(4),
            )
        ),
        DeiTImageProcessor(size={"height": 40, "width": 40}, crop_size=square),
    )
    save(
        "mobilenet_v2",
        MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.1, image_size=32, **names(6))),
        MobileNetV2ImageProcessor(size={"shortest_edge": 40}, crop_size=square),
    )
    save(
        "beit",
        BeitForImageClassification(
            BeitConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                image_size=32,
                patch_size=8,
                use_relative_position_bias=True,
                **names(3),
            )
        ),
        BeitImageProcessor(
            size=square, do_center_crop=False, rescale_factor=1 / 127.5, image_mean=[1.0] * 3, image_std=[1.0] * 3
        ),
    )
    save(
        "levit",
        LevitForImageClassification(
            LevitConfig(
                image_size=64,
                hidden_sizes=[16, 24, 32],
                num_attention_heads=[1, 1, 2],
                depths=[1, 1, 1],
                key_dim=[8, 8, 8],
                **names(3),
            )
        ),
        LevitImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 64, "width": 64}),
    )
    save(
        "efficientnet",
        EfficientNetForImageClassification(
            EfficientNetConfig(image_size=32, width_coefficient=0.25, depth_coefficient=0.3, hidden_dim=320, **names(3))
        ),
        EfficientNetImageProcessor(
            size=square, rescale_offset=True, rescale_factor=1 / 127.5, include_top=True, resample=3
        ),
    )
    save(
        "mobilevit",
        MobileViTForImageClassification(
            MobileViTConfig(
                image_size=64,
                hidden_sizes=[16, 24, 32],
                neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 64],
                num_attention_heads=2,
                **names(3),
            )
        ),
        MobileViTImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, resample=3),
    )
    save(
        "yolos",
        YolosForObjectDetection(
            YolosConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                image_size=[32, 48],
                patch_size=8,
                num_detection_tokens=5,
                **names(3),
            )
        ),
        None,
    )


def variant(out: Path, name: str, config: dict | None = None, pre: dict | None = None, base: str = "vit") -> Path:
    """Copy a good model and change entries of its JSON files; None deletes an entry."""
    folder = out / name
    shutil.copytree(out / base, folder)
    for file, changes in (("config.json", config), ("preprocessor_config.json", pre)):
        if changes:
            content = json.loads((folder / file).read_text())
            content.update(changes)
            content = {key: value for key, value in content.items() if value is not None}
            (folder / file).write_text(json.dumps(content))
    return folder


def variants(out: Path) -> None:
    """Make the hostile, the unusual and the broken ones."""

    def labels(table: dict) -> dict:
        return {"id2label": table, "label2id": None}

    def headless(name: str, table: dict) -> None:  # the head in the checkpoint would be of another number
        (variant(out, name, labels(table)) / "model.safetensors").unlink()

    marker = out / "EXECUTED"
    hostile = [
        "'; import os; os.system('x') #",
        '"""',
        "{{ 7*7 }}",
        "../../etc/passwd",
        "a\nb\r\x1b[31mred",
        "naïve 猫 🐱",
        "\u202eevil",
        "${HOME}",
        "%s",
        f"__import__('pathlib').Path({str(marker)!r}).touch()",
    ]
    variant(out, "hostile", labels({str(i): text for i, text in enumerate(hostile)}))
    headless("many_labels", {str(i): f"label {i}" for i in range(100_000)})
    headless("labels_twice", {"0": "crane", "1": "crow", "2": "crane"})
    headless("labels_empty", {"0": "a", "1": "  \n"})
    headless("labels_gap", {"0": "a", "2": "b"})
    variant(out, "labels_list", {"id2label": ["a", "b"]})
    variant(out, "labels_keys", labels({"zero": "a", "one": "b"}))
    (variant(out, "no_preprocessor") / "preprocessor_config.json").unlink()
    variant(
        out,
        "old_spelling",
        pre={"size": 32, "resample": 3, "image_processor_type": None, "feature_extractor_type": "ViTFeatureExtractor"},
    )
    variant(out, "other_size", pre={"size": {"height": 64, "width": 64}})
    folder = variant(out, "sharded")
    (folder / "model.safetensors").unlink()
    vit().save_pretrained(folder, max_shard_size="40KB")
    variant(out, "other_head", labels({str(i): str(i) for i in range(4)}))
    variant(out, "other_width", {"intermediate_size": 48})
    variant(out, "two_counts", {"num_labels": 4})
    variant(out, "one_output", labels({"0": "age"}))
    variant(out, "regression", {"problem_type": "regression"})
    variant(out, "multi_label", {"problem_type": "multi_label_classification"})
    variant(out, "one_problem", {"problem_type": "single_label_classification"})
    variant(out, "quantized", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})

    variant(out, "four_channels", {"num_channels": 4}, {"image_mean": [0.5] * 4, "image_std": [0.5] * 4})
    for name, size in (("zero", 0), ("negative", -8), ("absurd", 10**9), ("text", "large"), ("empty", [])):
        variant(out, f"size_{name}", {"image_size": size})
    variant(out, "size_zero_pre", pre={"size": {"height": 0, "width": 0}})
    (variant(out, "json_broken") / "config.json").write_text('{"model_type": "vit",')
    (variant(out, "json_list") / "config.json").write_text("[1, 2]")
    (variant(out, "json_nan") / "config.json").write_text('{"model_type": "vit", "layer_norm_eps": NaN}')
    (variant(out, "json_deep") / "config.json").write_text('{"a":' * 100_000)
    (variant(out, "json_bytes") / "config.json").write_bytes(b"\xff\xfe\x00{")
    (variant(out, "config_missing") / "config.json").unlink()
    (variant(out, "pre_broken") / "preprocessor_config.json").write_text("{")
    variant(out, "pre_std_zero", pre={"image_std": [0]})
    variant(out, "layers_million", {"num_hidden_layers": 10**6})
    variant(out, "width_text", {"hidden_size": "wide"})
    variant(out, "no_architecture", {"architectures": None})
    variant(
        out,
        "unknown_type",
        {"model_type": "never\x1b[31mheard\u202eof", "architectures": ["NeverForImageClassification"]},
    )
    remote = {"AutoConfig": "configuration_evil.EvilConfig", "AutoModelForImageClassification": "modeling_evil.Evil"}
    folder = variant(out, "remote_code", {"model_type": "evil", "architectures": ["Evil"], "auto_map": remote})
    evil = f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass EvilConfig: pass\n"
    (folder / "configuration_evil.py").write_text(evil)
    folder = variant(out, "remote_but_native", {"auto_map": remote})
    (folder / "configuration_evil.py").write_text(evil)
    for name, model_type, architecture in (
        ("arch_base", "vit", "ViTModel"),
        ("arch_nlp", "bert", "BertForSequenceClassification"),
        ("arch_llm", "llama", "LlamaForCausalLM"),
        ("arch_audio", "wav2vec2", "Wav2Vec2ForCTC"),
        ("arch_vlm", "llava", "LlavaForConditionalGeneration"),
        ("no_tokenizer", "oneformer", "OneFormerForUniversalSegmentation"),
    ):
        variant(out, name, {"model_type": model_type, "architectures": [architecture]})

    weights = (out / "vit" / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8 : 8 + length])

    def with_header(name: str, changed: object) -> None:
        data = json.dumps(changed).encode()
        (variant(out, name) / "model.safetensors").write_bytes(
            struct.pack("<Q", len(data)) + data + weights[8 + length :]
        )

    (variant(out, "weights_cut") / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    (variant(out, "weights_tiny") / "model.safetensors").write_bytes(b"\x01\x02")
    (variant(out, "weights_huge_header") / "model.safetensors").write_bytes(b"\xff" * 8 + weights[8:])
    (variant(out, "weights_garbage") / "model.safetensors").write_bytes(weights[:8] + b"\x00" * (len(weights) - 8))
    with_header("weights_list", [1])
    first = next(name for name in header if name != "__metadata__")
    with_header("weights_shape", {**header, first: {**header[first], "shape": [-1, 2**62]}})
    with_header("weights_dtype", {**header, first: {**header[first], "dtype": "__class__"}})
    folder = variant(out, "shard_escapes")
    (folder / "sub").mkdir()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "sub/../../vit/model.safetensors"}})
    )
    folder = variant(out, "pickle")
    (folder / "model.safetensors").unlink()

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def default_of(case: str) -> tuple[str, dict]:
    """Return a case, "model_type" or "model_type image_size", and what such a model gets that brings no processor."""
    model_type, _, side = case.partition(" ")
    config = {"model_type": model_type, **({"image_size": int(side)} if side else {})}
    source = Source(Path(), config, None, "none", {})
    recipe, size, _, difference = preprocess.read(source, [int(side)] * 2 if side else None, 3)
    return case, {**recipe.findings(), "size": size, "difference": difference}


def main(out: Path) -> None:
    """Make everything, probe everything, write results.json."""
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    good(out)
    variants(out)
    results = {}
    for folder in sorted(item for item in out.iterdir() if item.is_dir()):
        findings, report = out / f"{folder.name}.findings.json", out / f"{folder.name}.report.json"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = probe.main(["local", str(folder), "", "", str(findings), str(report)])
        results[folder.name] = {
            "status": status,
            "found": json.loads(findings.read_text()),
            "printed": printed.getvalue(),
            "report": json.loads(report.read_text()) if report.exists() else None,
        }
    results["defaults"] = dict(map(default_of, ("rt_detr", "segformer", "segformer 224", "swin 384", "dinov2 518",
                                                "levit 112", "mobilevitv2 256", "timm_wrapper")))
    results["executed"] = (out / "EXECUTED").exists()
    (out / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
