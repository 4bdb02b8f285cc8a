"""A tiny random model of every architecture that transformers maps to image classification.

    python -m tests.support.models.classifiers OUT [NAMES...]

Runs inside the runtime. `TINY` is the table; a row is a configuration small enough to be built, proven and exported in
seconds, with the image processor that the architecture's published checkpoints have. `missing` names the architectures
that transformers has and the table has not. Each model is written into OUT/<name> by ``save_pretrained``; of one that
cannot be built here, as it needs a library that is not installed, the configuration alone.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe.onnx_check import enliven

LABELS = ("ant", "bee", "cat", "dog", "elk")

# What several rows share: one resolution throughout, or four stages with strides 4, 8, 16 and 32.
PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
VISION = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
TEXT = {**VISION, "num_hidden_layers": 1, "vocab_size": 64, "max_position_embeddings": 16}
WIDTHS, DEPTHS = [8, 16, 24, 32], [1, 1, 2, 1]
SWIN = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 1, 2, 1],
    "num_heads": [1, 2, 2, 4],
    "window_size": 2,
}
LEVIT = {
    "image_size": 128,
    "hidden_sizes": [16, 24, 32],
    "num_attention_heads": [1, 2, 2],
    "depths": [1, 1, 1],
    "key_dim": [8, 8, 8],
}
PYRAMID = {"image_size": 64, "hidden_sizes": WIDTHS, "depths": DEPTHS, "num_attention_heads": [1, 2, 2, 4]}
PERCEIVER = {
    "num_latents": 8,
    "d_latents": 32,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 4,
    "num_cross_attention_heads": 1,
}
LIGHT_CONVOLUTIONS = [  # kernel, channels in, channels out, stride, squeeze and excitation
    [[3, 8, 16, 1, False]],
    [[3, 16, 24, 2, False], [3, 24, 24, 1, False]],
    [[3, 24, 32, 2, False], [3, 32, 32, 1, False]],
    [[3, 32, 40, 2, False], [5, 40, 40, 1, False]],
    [[5, 40, 48, 2, True]],
]

EFFICIENTFORMER = {  # transformers 4 alone has it, nat and van
    "hidden_sizes": WIDTHS,
    "depths": [1, 1, 1, 2],
    "dim": 32,
    "key_dim": 8,
    "attention_ratio": 2,
    "resolution": 2,
    "num_attention_heads": 2,
    "image_size": 64,
}


def square(height: int, width: int | None = None) -> dict[str, Any]:
    """Return the arguments of an image processor that resizes to exactly this many pixels."""
    return {"size": {"height": height, "width": width or height}}


def edge(side: int) -> dict[str, Any]:
    """Return the arguments of an image processor that resizes the shortest edge and crops inside, by its own rule."""
    return {"size": {"shortest_edge": side}}


def cropped(larger: int, side: int) -> dict[str, Any]:
    """Return the arguments of an image processor that resizes the shortest edge and crops the centre."""
    return {**edge(larger), "crop_size": {"height": side, "width": side}}


@dataclass(frozen=True)
class Tiny:
    """A row of the table.

    Attributes:
        model_type: transformers' name of the architecture.
        config: fields of its configuration.
        processor: class of the image processor.
        processing: its arguments.
        which: the class, where transformers maps the architecture to several: its place among them.
        labels: class names.
    """

    model_type: str
    config: dict[str, Any]
    processor: str = "ViTImageProcessor"
    processing: dict[str, Any] = field(default_factory=lambda: square(32))
    which: int = 0
    labels: tuple[str, ...] = LABELS


TINY = {
    "beit": Tiny(
        "beit",
        {**PLAIN, "use_relative_position_bias": True},
        "BeitImageProcessor",
        {**square(32), "do_center_crop": False},
    ),
    "bit": Tiny(
        "bit",
        {"embedding_size": 8, "hidden_sizes": WIDTHS, "depths": DEPTHS, "num_groups": 2},
        "BitImageProcessor",
        cropped(72, 64),
    ),
    "clip": Tiny(
        "clip",
        {"vision_config": {**VISION, "image_size": 32, "patch_size": 8}, "text_config": TEXT, "projection_dim": 16},
        "CLIPImageProcessor",
        cropped(32, 32),
    ),
    "convnext": Tiny(
        "convnext", {"hidden_sizes": WIDTHS, "depths": DEPTHS, "image_size": 64}, "ConvNextImageProcessor", edge(64)
    ),
    "convnextv2": Tiny(
        "convnextv2", {"hidden_sizes": WIDTHS, "depths": DEPTHS, "image_size": 64}, "ConvNextImageProcessor", edge(64)
    ),
    "cvt": Tiny(
        "cvt",
        {"embed_dim": [8, 16, 24], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
        "ConvNextImageProcessor",
        edge(64),
    ),
    "data2vec_vision": Tiny(
        "data2vec-vision",
        {**PLAIN, "use_relative_position_bias": True},
        "BeitImageProcessor",
        {**square(32), "do_center_crop": False},
    ),
    "deit": Tiny("deit", PLAIN, "DeiTImageProcessor", {**square(40), "crop_size": {"height": 32, "width": 32}}),
    "deit_with_teacher": Tiny(
        "deit", PLAIN, "DeiTImageProcessor", {**square(40), "crop_size": {"height": 32, "width": 32}}, which=1
    ),
    "dinat": Tiny(
        "dinat",
        {
            "embed_dim": 8,
            "depths": [1, 1, 2, 1],
            "num_heads": [1, 2, 2, 4],
            "kernel_size": 3,
            "dilations": [[1], [1], [1, 1], [1]],
        },
        processing=square(64),
    ),
    "dinov2": Tiny("dinov2", {**PLAIN, "mlp_ratio": 2}, "BitImageProcessor", cropped(40, 32)),
    "dinov2_with_registers": Tiny(
        "dinov2_with_registers", {**PLAIN, "mlp_ratio": 2}, "BitImageProcessor", cropped(40, 32)
    ),
    "donut_swin": Tiny("donut-swin", SWIN, "DonutImageProcessor", square(64)),
    "efficientnet": Tiny(
        "efficientnet",
        {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
        "EfficientNetImageProcessor",
        square(64),
    ),
    "efficientformer": Tiny("efficientformer", EFFICIENTFORMER, "EfficientFormerImageProcessor", cropped(72, 64)),
    "efficientformer_with_teacher": Tiny(
        "efficientformer",
        {**EFFICIENTFORMER, "hidden_size": 32},
        "EfficientFormerImageProcessor",
        cropped(72, 64),
        which=1,
    ),
    "focalnet": Tiny(
        "focalnet", {"image_size": 64, "embed_dim": 16, "depths": DEPTHS}, "BitImageProcessor", cropped(72, 64)
    ),
    "hgnet_v2": Tiny(
        "hgnet_v2",
        {
            "embedding_size": 8,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 24, 32, 40],
            "stem_channels": [3, 8, 8],
            "stage_in_channels": [8, 16, 24, 32],
            "stage_mid_channels": [8, 8, 16, 16],
            "stage_out_channels": [16, 24, 32, 40],
            "stage_num_blocks": [1, 1, 1, 1],
            "stage_numb_of_layers": [2, 2, 2, 2],
        },
        processing=square(64),
    ),
    "hiera": Tiny(
        "hiera",
        {"embed_dim": 8, "image_size": [128, 128], "depths": DEPTHS, "num_heads": [1, 2, 4, 8]},
        "BitImageProcessor",
        cropped(144, 128),
    ),
    "ijepa": Tiny("ijepa", PLAIN),
    "imagegpt": Tiny(
        "imagegpt",
        {"vocab_size": 9, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4},
        "ImageGPTImageProcessor",
        {**square(8), "clusters": [[step / 4 - 1] * 3 for step in range(8)]},
    ),
    "levit": Tiny("levit", LEVIT, "LevitImageProcessor", cropped(128, 128)),
    "levit_with_teacher": Tiny("levit", LEVIT, "LevitImageProcessor", cropped(128, 128), which=1),
    "metaclip_2": Tiny(
        "metaclip_2",
        {"vision_config": {**VISION, "image_size": 32, "patch_size": 8}, "text_config": TEXT, "projection_dim": 16},
        "CLIPImageProcessor",
        cropped(32, 32),
    ),
    "mobilenet_v1": Tiny(
        "mobilenet_v1", {"image_size": 64, "depth_multiplier": 0.1}, "MobileNetV1ImageProcessor", cropped(72, 64)
    ),
    "mobilenet_v2": Tiny(
        "mobilenet_v2", {"image_size": 64, "depth_multiplier": 0.1}, "MobileNetV2ImageProcessor", cropped(72, 64)
    ),
    "mobilevit": Tiny(
        "mobilevit",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64],
            "num_attention_heads": 2,
        },
        "MobileViTImageProcessor",
        cropped(72, 64),
    ),
    "mobilevitv2": Tiny(
        "mobilevitv2",
        {
            "image_size": 64,
            "width_multiplier": 0.25,
            "n_attn_blocks": [1, 2, 1],
            "base_attn_unit_dims": [64, 96, 128],
        },
        "MobileViTImageProcessor",
        cropped(72, 64),
    ),
    "nat": Tiny(
        "nat",
        {"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 4], "kernel_size": 3},
        processing=square(64),
    ),
    "perceiver_learned": Tiny(
        "perceiver",
        {**PERCEIVER, "image_size": 32},
        "PerceiverImageProcessor",
        {**square(32), "crop_size": {"height": 36, "width": 36}},
    ),
    "perceiver_fourier": Tiny(
        "perceiver",
        {**PERCEIVER, "image_size": 32},
        "PerceiverImageProcessor",
        {**square(32), "crop_size": {"height": 36, "width": 36}},
        which=1,
    ),
    "perceiver_conv": Tiny(
        "perceiver",
        {**PERCEIVER, "image_size": 64},
        "PerceiverImageProcessor",
        {**square(64), "crop_size": {"height": 72, "width": 72}},
        which=2,
    ),
    "poolformer": Tiny(
        "poolformer", {"hidden_sizes": WIDTHS, "depths": DEPTHS}, "PoolFormerImageProcessor", cropped(64, 64)
    ),
    "pp_lcnet": Tiny(
        "pp_lcnet",
        {"block_configs": LIGHT_CONVOLUTIONS, "stem_channels": 8, "class_expand": 64},
        "PPLCNetImageProcessor",
        {"resize_short": 72, "crop_size": {"height": 64, "width": 64}},
    ),
    # By default its head is for 1000 classes, whatever id2label names.
    "pvt": Tiny("pvt", {**PYRAMID, "num_labels": len(LABELS)}, "PvtImageProcessor", square(64)),
    "pvt_v2": Tiny("pvt_v2", PYRAMID, "PvtImageProcessor", square(64)),
    "regnet": Tiny(
        "regnet",
        {"embedding_size": 8, "hidden_sizes": WIDTHS, "depths": DEPTHS, "groups_width": 8},
        "ConvNextImageProcessor",
        edge(64),
    ),
    "resnet": Tiny(  # no narrower ones have been published, and others know no narrower ones
        "resnet",
        {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [1, 1, 1, 1], "layer_type": "basic"},
        "ConvNextImageProcessor",
        edge(64),
    ),
    "segformer": Tiny("segformer", PYRAMID, "SegformerImageProcessor", square(64)),
    "shieldgemma2": Tiny(
        "shieldgemma2",
        {
            "vision_config": {**VISION, "image_size": 32, "patch_size": 8},
            "text_config": {**TEXT, "num_key_value_heads": 2, "head_dim": 8},
            "mm_tokens_per_image": 4,
            "image_token_index": 60,
            "boi_token_index": 61,
            "eoi_token_index": 62,
        },
        "Gemma3ImageProcessor",
        square(32),
    ),
    "siglip": Tiny(
        "siglip",
        {"vision_config": {**VISION, "image_size": 32, "patch_size": 8}, "text_config": TEXT},
        "SiglipImageProcessor",
        square(32),
    ),
    "siglip2": Tiny(
        "siglip2",
        {"vision_config": {**VISION, "num_patches": 16, "patch_size": 8}, "text_config": TEXT},
        "Siglip2ImageProcessor",
        {"patch_size": 8, "max_num_patches": 16},
    ),
    "swiftformer": Tiny(
        "swiftformer", {"image_size": 64, "depths": [1, 1, 2, 1], "embed_dims": WIDTHS}, processing=square(64)
    ),
    "swin": Tiny("swin", SWIN, processing=square(64)),
    "swinv2": Tiny("swinv2", SWIN, processing=square(64)),
    "textnet": Tiny(
        "textnet",
        {
            "image_size": [64, 64],
            "stem_out_channels": 8,
            "hidden_sizes": [8, 8, 16, 24, 32],
            "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3], [1, 3]], [[3, 3], [3, 1]], [[3, 3]]],
            "conv_layer_strides": [[2], [2, 1], [2, 1], [2]],
        },
        "TextNetImageProcessor",
        cropped(64, 64),
    ),
    "timm_wrapper": Tiny("timm_wrapper", {"architecture": "test_resnet"}, processing=square(64)),
    "van": Tiny(
        "van", {"hidden_sizes": WIDTHS, "depths": DEPTHS, "image_size": 64}, "ConvNextImageProcessor", edge(64)
    ),
    "vit": Tiny("vit", PLAIN),
    "vit_msn": Tiny("vit_msn", PLAIN),
    # What is unusual about a model rather than about its architecture.
    "vit_grayscale": Tiny(
        "vit", {**PLAIN, "num_channels": 1}, processing={**square(32), "image_mean": [0.25], "image_std": [0.5]}
    ),
    "vit_two_classes": Tiny("vit", PLAIN, labels=("no", "yes")),
    "vit_wide": Tiny("vit", {**PLAIN, "image_size": [32, 48]}, processing=square(32, 48)),
    "vit_odd": Tiny(
        "vit",
        {
            "hidden_size": 33,
            "num_attention_heads": 3,
            "intermediate_size": 51,
            "num_hidden_layers": 3,
            "image_size": 35,
            "patch_size": 7,
        },
        processing=square(35),
    ),
    "resnet_odd": Tiny(
        "resnet",
        {"embedding_size": 7, "hidden_sizes": [9, 15, 21, 37], "depths": DEPTHS, "layer_type": "basic"},
        processing=square(67, 51),
    ),
}


def mapped() -> dict[str, list[str]]:
    """Return the classes of every architecture that the installed transformers maps to image classification."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as NAMES

    return {model_type: [names] if isinstance(names, str) else list(names) for model_type, names in NAMES.items()}


def missing() -> list[str]:
    """Return the classes that transformers has and the table has no row for."""
    known = {(row.model_type, row.which) for row in TINY.values()}
    return [
        name
        for model_type, names in mapped().items()
        for place, name in enumerate(names)
        if (model_type, place) not in known
    ]


def make(name: str, folder: Path) -> None:
    """Write one model and its image processor into `folder`."""
    import torch
    import transformers

    row = TINY[name]
    names = dict(enumerate(row.labels))
    config = transformers.AutoConfig.for_model(
        row.model_type, **row.config, id2label=names, label2id={label: index for index, label in names.items()}
    )
    class_name = mapped()[row.model_type][row.which]
    torch.manual_seed(0)
    try:
        model = getattr(transformers, class_name)(config)
    except ImportError:
        config.architectures = [class_name]
        config.save_pretrained(folder)
    else:
        with torch.no_grad():
            enliven(model, torch.randn(2, row.config.get("num_channels", 3), *_size(row)))
        model.save_pretrained(folder)
    getattr(transformers, row.processor)(**row.processing).save_pretrained(folder)


def _size(row: Tiny) -> list[int]:
    size = row.config.get("image_size", 64)
    return list(size) if isinstance(size, list) else [size, size]


def main(argv: list[str]) -> int:
    """Make the models named on the command line, or all; print a line of JSON for each, and one about the table."""
    import transformers

    transformers.logging.disable_progress_bar()
    out, names = Path(argv[0]), argv[1:] or [name for name, row in TINY.items() if row.model_type in mapped()]
    for name in names:
        started = time.monotonic()
        make(name, out / name)
        print(json.dumps({"made": name, "seconds": round(time.monotonic() - started, 2)}), flush=True)
    rows = {name: TINY[name].model_type for name in names}
    print(json.dumps({"rows": rows, "architectures": len(mapped()), "missing": missing()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
