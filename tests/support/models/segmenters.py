"""A tiny random model of every architecture that transformers maps to semantic segmentation.

    python -m tests.support.models.segmenters OUT [NAMES...]

Runs inside the runtime. `TINY` is the table, as in ``classifiers``, and the models are made as those of
``detectors`` are. `missing` names the architectures that transformers has and the table has not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.models.classifiers import DEPTHS, PLAIN, PYRAMID, SWIN, VISION, WIDTHS, Tiny, cropped, square
from tests.support.models.classifiers import TINY as CLASSIFIERS
from tests.support.models.detectors import Scaled, backbone, tell, unknown, write

SIDE = 64
# A plain transformer that is tapped at four depths and whose maps are brought to four resolutions.
TAPPED = {**PLAIN, "num_hidden_layers": 4, "image_size": SIDE}
HEADS = {"pool_scales": [1, 2], "use_auxiliary_head": True, "auxiliary_channels": 16}
BEIT = {**TAPPED, **HEADS, "use_relative_position_bias": True, "out_indices": [1, 2, 3, 4]}
UPER = {**HEADS, "hidden_size": 32}
CONVNEXT = {"hidden_sizes": WIDTHS, "depths": DEPTHS}

TINY = {
    "beit": Tiny("beit", BEIT, "BeitImageProcessor", {**square(SIDE), "do_center_crop": False}),
    "data2vec_vision": Tiny("data2vec-vision", BEIT, "BeitImageProcessor", {**square(SIDE), "do_center_crop": False}),
    "dpt": Tiny(
        "dpt",
        {
            **TAPPED,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": WIDTHS,
            "fusion_hidden_size": 16,
            "use_batch_norm_in_fusion_residual": True,
        },
        "DPTImageProcessor",
        square(SIDE),
    ),
    "mobilenet_v2": Tiny(
        "mobilenet_v2",
        {**CLASSIFIERS["mobilenet_v2"].config, "output_stride": 8},
        "MobileNetV2ImageProcessor",
        cropped(72, SIDE),
    ),
    "mobilevit": Tiny(
        "mobilevit",
        {**CLASSIFIERS["mobilevit"].config, "output_stride": 16, "aspp_out_channels": 16, "atrous_rates": [1, 2, 3]},
        "MobileViTImageProcessor",
        cropped(72, SIDE),
    ),
    "mobilevitv2": Tiny(
        "mobilevitv2",
        {**CLASSIFIERS["mobilevitv2"].config, "output_stride": 16, "aspp_out_channels": 16, "atrous_rates": [1, 2, 3]},
        "MobileViTImageProcessor",
        cropped(72, SIDE),
    ),
    "sapiens2": Tiny(
        "sapiens2",
        {
            **TAPPED,
            "image_size": [SIDE, 48],
            "num_key_value_attention_heads": 2,
            "num_first_full_attention_layers": 1,
            "num_last_full_attention_layers": 1,
            "num_register_tokens": 2,
            "head_config": {
                "upsample_out_channels": [16, 16],
                "conv_out_channels": [16],
                "upsample_kernel_size": 3,
                "conv_kernel_size": 3,
                "use_pixel_shuffle": True,
            },
        },
        "Sapiens2ImageProcessor",
        square(SIDE, 48),
    ),
    "segformer": Tiny("segformer", {**PYRAMID, "decoder_hidden_size": 32}, "SegformerImageProcessor", square(SIDE)),
    "tipsv2_dpt": Scaled(
        "tipsv2_dpt",
        {
            "neck_hidden_sizes": WIDTHS,
            "fusion_hidden_size": 16,
            "num_depth_bins": 8,
            "backbone_config": {
                "model_type": "tipsv2_vision_model",
                **VISION,
                "num_hidden_layers": 4,
                "mlp_ratio": 2,
                "image_size": SIDE,
                "patch_size": 8,
                "out_indices": [1, 2, 3, 4],
                "reshape_hidden_states": False,
            },
        },
        "Tipsv2DptImageProcessor",
        square(SIDE),
        factors={"decoder.head": 0.001},  # nothing between the first layer and the last holds the values down
    ),
    "upernet_convnext": Tiny(
        "upernet",
        {**UPER, "auxiliary_in_channels": WIDTHS[2], **backbone("convnext", CONVNEXT, 1, 2, 3, 4)},
        "SegformerImageProcessor",
        square(SIDE),
    ),
    "upernet_swin": Tiny(
        "upernet",
        {**UPER, "auxiliary_in_channels": 4 * SWIN["embed_dim"], **backbone("swin", SWIN, 1, 2, 3, 4)},
        "SegformerImageProcessor",
        square(SIDE),
    ),
}

# What published configurations have and transformers' defaults have not, for `make coverage-sizes`.
PUBLISHED = {name: {"out_indices": [3, 5, 7, 11]} for name in ("beit", "data2vec-vision")}


def mapped() -> dict[str, str]:
    """Return the class of every architecture that the installed transformers maps to semantic segmentation."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES as NAMES

    return dict(NAMES)


def missing() -> list[str]:
    """Return the classes that transformers has and the table has no row for."""
    return unknown(TINY, mapped())


def make(name: str, folder: Path) -> None:
    """Write one model and its image processor into `folder`."""
    write(TINY[name], mapped(), folder)


def main(argv: list[str]) -> int:
    """Make the models named on the command line, or all; print a line of JSON for each, and one about the table."""
    return tell(argv, TINY, mapped(), make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
