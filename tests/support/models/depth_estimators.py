"""A tiny random model of every architecture that transformers maps to depth estimation.

    python -m tests.support.models.depth_estimators OUT [NAMES...]

Runs inside the runtime. `TINY` is the table, as in ``classifiers``, and the models are made as those of
``detectors`` are. `missing` names the architectures that transformers has and the table has not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.models.classifiers import PYRAMID, VISION, WIDTHS, Tiny, square
from tests.support.models.detectors import tell, unknown, write
from tests.support.models.segmenters import TAPPED
from tests.support.models.segmenters import TINY as SEGMENTERS

SIDE = 64
PATCH = 8
TRANSFORMER = {**VISION, "num_hidden_layers": 4, "image_size": SIDE, "patch_size": PATCH}
DINO = {"model_type": "dinov2", **TRANSFORMER, "out_indices": [1, 2, 3, 4], "reshape_hidden_states": False}
NECK = {"neck_hidden_sizes": WIDTHS, "fusion_hidden_size": 16}
ANYTHING = {**NECK, "backbone_config": DINO, "patch_size": PATCH, "reassemble_hidden_size": 32, "head_hidden_size": 8}
METRIC = {"depth_estimation_type": "metric", "max_depth": 20}
PRO_PATCH = {"model_type": "dinov2", **VISION, "num_hidden_layers": 2, "image_size": 32, "patch_size": PATCH}
PRO = {
    "patch_size": 32,
    "fusion_hidden_size": 16,
    "intermediate_hook_ids": [1, 0],
    "intermediate_feature_dims": [16, 16],
    "scaled_images_ratios": [0.5, 1.0],
    "scaled_images_overlap_ratios": [0.0, 0.25],
    "scaled_images_feature_dims": [16, 16],
    "image_model_config": PRO_PATCH,
    "patch_model_config": PRO_PATCH,
    "fov_model_config": PRO_PATCH,
}

TINY = {
    "chmv2": Tiny(
        "chmv2",
        {
            "patch_size": PATCH,
            "post_process_channels": WIDTHS,
            "fusion_hidden_size": 16,
            "head_hidden_size": 8,
            "number_output_channels": 16,
            "backbone_config": {
                "model_type": "dinov3_vit",
                **TRANSFORMER,
                "num_register_tokens": 2,
                "out_indices": [1, 2, 3, 4],
                "reshape_hidden_states": True,
                "apply_layernorm": True,
                "return_class_token": True,
            },
        },
        "CHMv2ImageProcessor",
        square(SIDE),
    ),
    "depth_anything": Tiny("depth_anything", ANYTHING, "DPTImageProcessor", square(SIDE)),
    "depth_anything_metric": Tiny("depth_anything", {**ANYTHING, **METRIC}, "DPTImageProcessor", square(SIDE)),
    "depth_pro": Tiny("depth_pro", PRO, "DepthProImageProcessor", square(SIDE)),
    "depth_pro_with_fov": Tiny(
        "depth_pro", {**PRO, "use_fov_model": True, "num_fov_head_layers": 1}, "DepthProImageProcessor", square(SIDE)
    ),
    "dpt": Tiny("dpt", SEGMENTERS["dpt"].config, "DPTImageProcessor", square(SIDE)),
    "glpn": Tiny("glpn", {**PYRAMID, "decoder_hidden_size": 16}, "GLPNImageProcessor", {"size_divisor": 32}),
    "prompt_depth_anything": Tiny(
        "prompt_depth_anything", ANYTHING, "PromptDepthAnythingImageProcessor", square(SIDE)
    ),
    "tipsv2_dpt": SEGMENTERS["tipsv2_dpt"],
    "zoedepth": Tiny(
        "zoedepth",
        {
            **NECK,
            "num_relative_features": 8,
            "bottleneck_features": 16,
            "bin_embedding_dim": 8,
            "bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
            "num_attractors": [4, 3, 2, 1],
            "backbone_config": {
                "model_type": "beit",
                **TAPPED,
                "use_relative_position_bias": True,
                "out_indices": [1, 2, 3, 4],
                "reshape_hidden_states": False,
            },
        },
        "ZoeDepthImageProcessor",
        square(SIDE),
    ),
}

# What published configurations have and transformers' defaults have not, for `make coverage-sizes`.
PUBLISHED = {"depth_pro": {"image_size": 1536}}


def mapped() -> dict[str, str]:
    """Return the class of every architecture that the installed transformers maps to depth estimation."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as NAMES

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
