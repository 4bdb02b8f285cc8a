"""A tiny random model of every architecture that transformers maps to object detection.

    python -m tests.support.models.detectors OUT [NAMES...]

Runs inside the runtime. `TINY` is the table, as in ``classifiers``: a row is a configuration small enough to be
built, trained a step and exported in seconds, with the image processor that the architecture's published checkpoints
have. Backbones are transformers' own and random, so nothing is downloaded. `missing` names the architectures that
transformers has and the table has not. The PP-OCR detectors are in the table although they answer with a map of where
text is and not with boxes: somebody will name one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.probe.onnx_check import enliven
from tests.support.models.classifiers import LIGHT_CONVOLUTIONS, VISION, WIDTHS, Tiny, square
from tests.support.models.classifiers import TINY as CLASSIFIERS


@dataclass(frozen=True)
class Scaled(Tiny):
    """A row whose fresh weights alone would hide something.

    Attributes:
        factors: by what to multiply the parameters whose names contain the key.
    """

    factors: dict[str, float] = field(default_factory=dict)


SIDE = 64
# Queries as small as fresh ones see the same in a picture and all predict alike.
APART = {"query_position_embeddings": 10.0, "query_refpoint_embeddings": 10.0}
RESNET = {"embedding_size": 8, "hidden_sizes": WIDTHS, "depths": [1, 1, 1, 1], "layer_type": "basic"}
HGNET = CLASSIFIERS["hgnet_v2"].config


def backbone(model_type: str, fields: Mapping[str, Any], *stages: int) -> dict[str, Any]:
    """Return the configuration fields of a detector that takes these stages of a backbone of transformers."""
    return {
        "backbone_config": {
            "model_type": model_type,
            **fields,
            "out_features": [f"stage{stage}" for stage in stages],
        }
    }


def untimm(model_type: str, fields: Mapping[str, Any], *stages: int) -> dict[str, Any]:
    """Return the same for the older architectures, which take a backbone of timm unless they are told not to."""
    return {
        **backbone(model_type, fields, *stages),
        "use_timm_backbone": False,
        "use_pretrained_backbone": False,
        "backbone": None,
    }


def edges(shortest: int, longest: int) -> dict[str, Any]:
    """Return the arguments of an image processor that keeps the shape of a picture and pads it to the largest."""
    return {"size": {"shortest_edge": shortest, "longest_edge": longest}}


# What the rows share: encoder and decoder of DETR, those of RT-DETR and its heirs, those of LW-DETR.
LAYERS = {
    "encoder_layers": 1,
    "encoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_layers": 2,
    "decoder_ffn_dim": 64,
    "decoder_attention_heads": 4,
}
DETR = {**LAYERS, "d_model": 32, "num_queries": 20}
HYBRID = {
    **LAYERS,
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 24, 32],
    "decoder_in_channels": [32, 32, 32],
    "num_queries": 30,
    "num_denoising": 10,
}
HYBRID_HGNET = {**HYBRID, "encoder_in_channels": HGNET["hidden_sizes"][1:], **backbone("hgnet_v2", HGNET, 2, 3, 4)}
GROUPED = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_ffn_dim": 64,
    "decoder_n_points": 2,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
    "c2f_num_blocks": 1,
    "num_queries": 20,
    "group_detr": 3,
    "auxiliary_loss": True,
}
TEXT_BLOCK = {  # kernel, stride and padding
    "reduce_channel": [1, 1, 0],
    "return_channel": [1, 1, 0],
    **{
        f"{kind}_{ratio}ratio": [[side if tall else 1, side if wide else 1], [1, 1], [tall * reach, wide * reach]]
        for kind, tall, wide in (
            ("vertical_long_to_small_conv", 1, 0),
            ("horizontal_small_to_long_conv", 0, 1),
            ("symmetric_conv_long", 1, 1),
        )
        for ratio, side, reach in (("long", 7, 3), ("mid", 5, 2), ("short", 3, 1))
    },
}
LIGHT_STAGES = {  # kernel, channels in, channels out, stride, squeeze and excitation
    "stem_channels": [3, 8, 16],
    "block_configs": [
        [[3, 16, 16, 1, True]],
        [[3, 16, 24, 2, False]],
        [[3, 24, 32, 2, True]],
        [[3, 32, 40, 2, False]],
    ],
}
TEXT_MAP = {"neck_out_channels": 16, "kernel_list": [3, 2, 2]}
TEXT_PATHS = {**TEXT_MAP, "intraclass_block_config": TEXT_BLOCK, "intraclass_block_number": 4}
TEXT = ("text",)

TINY = {
    "conditional_detr": Scaled(
        "conditional_detr",
        {**DETR, **untimm("resnet", RESNET, 4)},
        "ConditionalDetrImageProcessor",
        edges(SIDE, 96),
        factors=APART,
    ),
    "d_fine": Tiny("d_fine", HYBRID_HGNET, "RTDetrImageProcessor", square(SIDE)),
    "dab_detr": Scaled(
        "dab-detr",
        {**LAYERS, "hidden_size": 32, "num_queries": 20, **untimm("resnet", RESNET, 4)},
        "ConditionalDetrImageProcessor",
        edges(SIDE, 96),
        factors=APART,
    ),
    "deformable_detr": Tiny(
        "deformable_detr",
        {**DETR, **untimm("resnet", RESNET, 2, 3, 4)},
        "DeformableDetrImageProcessor",
        edges(96, 128),
    ),
    "deformable_detr_two_stage": Tiny(
        "deformable_detr",
        {
            **DETR,
            "with_box_refine": True,
            "two_stage": True,
            "two_stage_num_proposals": 20,
            **untimm("resnet", RESNET, 2, 3, 4),
        },
        "DeformableDetrImageProcessor",
        edges(96, 128),
    ),
    "deta": Tiny(  # not in transformers 5; it wants at least a thousand proposals
        "deta",
        {
            **DETR,
            "num_feature_levels": 4,
            "two_stage_num_proposals": 20,
            **backbone("resnet", RESNET, 2, 3, 4),
        },
        "DetaImageProcessor",
        edges(256, 384),
    ),
    "deimv2": Tiny("deimv2", HYBRID_HGNET, "RTDetrImageProcessor", square(SIDE)),
    "detr": Scaled(
        "detr",
        {**DETR, **untimm("resnet", RESNET, 4)},
        "DetrImageProcessor",
        edges(SIDE, 96),
        factors=APART,
    ),
    "lw_detr": Tiny(
        "lw_detr",
        {
            **GROUPED,
            "projector_scale_factors": [1.0],
            "backbone_config": {
                "model_type": "lw_detr_vit",
                "hidden_size": 32,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": SIDE,
                "pretrain_image_size": SIDE,
                "patch_size": 8,
                "window_block_indices": [0, 2],
                "out_indices": [2, 4],
            },
        },
        "DeformableDetrImageProcessor",
        square(SIDE),
    ),
    "pp_doclayout_v2": Tiny(
        "pp_doclayout_v2",
        {
            **HYBRID_HGNET,
            "class_thresholds": [0.5] * 5,
            "class_order": [0, 1, 2, 3, 4],
            "reading_order_config": {
                **VISION,
                "num_hidden_layers": 1,
                "max_position_embeddings": 64,
                "coordinate_size": 6,
                "shape_size": 4,
                "num_classes": 5,
                "global_pointer_head_size": 8,
            },
        },
        "PPDocLayoutV2ImageProcessor",
        square(SIDE),
    ),
    "pp_doclayout_v3": Tiny(
        "pp_doclayout_v3",
        {
            **HYBRID_HGNET,
            **backbone("hgnet_v2", HGNET, 1, 2, 3, 4),
            "mask_feature_channels": [16, 16],
            "x4_feat_dim": HGNET["hidden_sizes"][0],
            "num_prototypes": 8,
            "global_pointer_head_size": 8,
        },
        "PPDocLayoutV3ImageProcessor",
        square(SIDE),
    ),
    "pp_doclayout_v4": Tiny(
        "pp_doclayout_v4",
        {
            **{("hidden_size" if name == "d_model" else name): value for name, value in HYBRID_HGNET.items()},
            "global_pointer_head_size": 8,
        },
        "PPDocLayoutV4ImageProcessor",
        square(SIDE),
    ),
    "pp_ocrv5_mobile_det": Tiny(
        "pp_ocrv5_mobile_det",
        {
            **TEXT_MAP,
            "layer_list_out_channels": [8, 12, 16, 24],
            **backbone("pp_lcnet_v3", {"block_configs": LIGHT_CONVOLUTIONS, "stem_channels": 8}, 2, 3, 4, 5),
        },
        "PPOCRV5ServerDetImageProcessor",
        square(SIDE),
        labels=TEXT,
    ),
    "pp_ocrv5_server_det": Tiny(
        "pp_ocrv5_server_det",
        {**TEXT_PATHS, "scale_factor_list": [1, 2, 4, 8], **backbone("hgnet_v2", HGNET, 1, 2, 3, 4)},
        "PPOCRV5ServerDetImageProcessor",
        square(SIDE),
        labels=TEXT,
    ),
    "pp_ocrv6_medium_det": Tiny(
        "pp_ocrv6_medium_det",
        {**TEXT_PATHS, "scale_factor_list": [1, 2, 4, 8], **backbone("pp_lcnet_v4", LIGHT_STAGES, 1, 2, 3, 4)},
        "PPOCRV5ServerDetImageProcessor",
        square(SIDE),
        labels=TEXT,
    ),
    "pp_ocrv6_small_det": Tiny(
        "pp_ocrv6_small_det",
        {
            **TEXT_MAP,
            "layer_list_out_channels": [16, 24, 32, 40],
            **backbone("pp_lcnet_v4", LIGHT_STAGES, 1, 2, 3, 4),
        },
        "PPOCRV5ServerDetImageProcessor",
        square(SIDE),
        labels=TEXT,
    ),
    "rf_detr": Tiny(
        "rf_detr",
        {
            **GROUPED,
            "backbone_config": {
                "model_type": "rf_detr_dinov2",
                "hidden_size": 32,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": SIDE,
                "patch_size": 8,
                "num_windows": 2,
                "out_indices": [2, 4],
            },
        },
        "RfDetrImageProcessor",
        square(SIDE),
    ),
    "rt_detr": Tiny(
        "rt_detr",
        {**HYBRID, **backbone("rt_detr_resnet", RESNET, 2, 3, 4)},
        "RTDetrImageProcessor",
        square(SIDE),
    ),
    "rt_detr_v2": Tiny(
        "rt_detr_v2",
        {**HYBRID, **backbone("rt_detr_resnet", RESNET, 2, 3, 4)},
        "RTDetrImageProcessor",
        square(SIDE),
    ),
    "table_transformer": Scaled(
        "table-transformer",
        {**DETR, **untimm("resnet", RESNET, 4)},
        "DetrImageProcessor",
        edges(SIDE, 80),
        factors=APART,
    ),
    "yolos": Tiny(
        "yolos",
        {**VISION, "image_size": [SIDE, 96], "patch_size": 16, "num_detection_tokens": 20},
        "YolosImageProcessor",
        edges(SIDE, 96),
    ),
}


def mapped() -> dict[str, str]:
    """Return the class of every architecture that the installed transformers maps to object detection."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES as NAMES

    return dict(NAMES)


def missing() -> list[str]:
    """Return the classes that transformers has and the table has no row for."""
    return unknown(TINY, mapped())


def make(name: str, folder: Path) -> None:
    """Write one model and its image processor into `folder`."""
    write(TINY[name], mapped(), folder)


def unknown(table: Mapping[str, Tiny], classes: Mapping[str, str]) -> list[str]:
    """Return those of the classes whose architecture has no row in the table."""
    known = {row.model_type for row in table.values()}
    return [name for model_type, name in classes.items() if model_type not in known]


def build(row: Tiny, classes: Mapping[str, str]) -> Any:
    """Return the row's model, with weights that have an effect."""
    import torch
    import transformers

    names = dict(enumerate(row.labels))
    config = transformers.AutoConfig.for_model(
        row.model_type,
        **deepcopy(row.config),
        id2label=names,
        label2id={label: index for index, label in names.items()},
    )
    torch.manual_seed(0)
    model = getattr(transformers, classes[row.model_type])(config).eval()
    constants = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    with torch.no_grad():
        enliven(model, torch.randn(2, 3, *pixels(row)))
        for name, value in constants.items():  # what is not learnt, such as how far D-FINE's bins reach, is no weight
            model.get_parameter(name).copy_(value)
        for part, factor in row.factors.items() if isinstance(row, Scaled) else ():
            for name, value in model.named_parameters():
                if part in name:
                    value.mul_(factor)
    return model


def write(row: Tiny, classes: Mapping[str, str], folder: Path) -> None:
    """Write the row's model and its image processor into `folder`."""
    import transformers

    model = build(row, classes)
    try:
        model.save_pretrained(folder)
    except RuntimeError:  # transformers 4 does not know that some detectors share their heads
        shared = {id(tensor): name for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
        kept = {name: tensor for name, tensor in model.state_dict().items() if name in shared.values()}
        model.save_pretrained(folder, state_dict=kept)
    getattr(transformers, row.processor)(**row.processing).save_pretrained(folder)


def pixels(row: Tiny) -> tuple[int, int]:
    """Return height and width of a picture that the row's model can take."""
    size = row.processing.get("crop_size") or row.processing.get("size", {})
    shortest = size.get("shortest_edge", SIDE)
    return size.get("height", shortest), size.get("width", shortest)


def main(argv: list[str]) -> int:
    """Make the models named on the command line, or all; print a line of JSON for each, and one about the table."""
    return tell(argv, TINY, mapped(), make)


def tell(
    argv: list[str], table: Mapping[str, Tiny], classes: Mapping[str, str], made: Callable[[str, Path], None]
) -> int:
    """Do what `main` says, with any table."""
    import transformers

    transformers.logging.disable_progress_bar()
    out, names = Path(argv[0]), argv[1:] or [name for name, row in table.items() if row.model_type in classes]
    for name in names:
        started = time.monotonic()
        made(name, out / name)
        print(json.dumps({"made": name, "seconds": round(time.monotonic() - started, 2)}), flush=True)
    rows = {name: table[name].model_type for name in names}
    print(json.dumps({"rows": rows, "architectures": len(classes), "missing": unknown(table, classes)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
