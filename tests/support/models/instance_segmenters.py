"""A tiny random model of every architecture that transformers maps to instance segmentation.

    python -m tests.support.models.instance_segmenters OUT [NAMES...]

Runs inside the runtime. `TINY` is the table, as in ``detectors``. VidEoMT, which works on videos, is in the table
although it is refused: somebody will name one.
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

from tests.support.models.classifiers import SWIN, Tiny, square
from tests.support.models.detectors import (
    APART,
    DETR,
    RESNET,
    SIDE,
    Scaled,
    backbone,
    edges,
    tell,
    unknown,
    untimm,
    write,
)
from tests.support.models.detectors import TINY as DETECTORS

SWIN_STAGES = backbone("swin", {**SWIN, "image_size": SIDE}, 1, 2, 3, 4)
MASKS = {"num_queries": 20, "train_num_points": 128}
QUERIES = {
    **SWIN_STAGES,
    **MASKS,
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 64,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "dim_feedforward": 64,
}
PATCHES = {
    **MASKS,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_blocks": 2,
    "image_size": SIDE,
    "patch_size": 16,
}

HEADS = {"encoder_attention_heads": 8, "decoder_attention_heads": 8}  # with the width a multiple of 8

TINY = {
    "detr": Scaled(
        "detr",
        {**DETR, **HEADS, **untimm("resnet", RESNET, 1, 2, 3, 4)},
        "DetrImageProcessor",
        edges(SIDE, 96),
        factors=APART,
    ),
    "eomt": Tiny("eomt", {**PATCHES, "mlp_ratio": 2}, "EomtImageProcessor", square(SIDE)),
    "eomt_dinov3": Tiny("eomt_dinov3", {**PATCHES, "intermediate_size": 64}, "EomtImageProcessor", square(SIDE)),
    "mask2former": Tiny("mask2former", QUERIES, "Mask2FormerImageProcessor", square(SIDE)),
    "maskformer": Tiny(
        "maskformer",
        {
            **SWIN_STAGES,
            "fpn_feature_size": 32,
            "mask_feature_size": 32,
            "decoder_config": {"model_type": "detr", **DETR, **untimm("resnet", RESNET, 4)},
        },
        "MaskFormerImageProcessor",
        square(SIDE),
    ),
    # With another conv_dim than hidden_dim, transformers does not save the weights between them.
    "oneformer": Tiny(
        "oneformer",
        {**QUERIES, "conv_dim": 32, "mask_dim": 32, "task_seq_len": 77},
        "OneFormerImageProcessor",
        square(SIDE),
    ),
    "rf_detr": Tiny("rf_detr", DETECTORS["rf_detr"].config, "RfDetrImageProcessor", square(SIDE)),
    "videomt": Tiny("videomt", {**PATCHES, "mlp_ratio": 2}, "VideomtVideoProcessor", square(SIDE)),
}


def mapped() -> dict[str, str]:
    """Return the class of every architecture that the installed transformers maps to instance segmentation."""
    from transformers.models.auto import modeling_auto

    names: dict[str, str] = {}
    for stem in ("INSTANCE", "UNIVERSAL"):
        names |= getattr(modeling_auto, f"MODEL_FOR_{stem}_SEGMENTATION_MAPPING_NAMES")
    return names


def missing() -> list[str]:
    """Return the classes that transformers has and the table has no row for."""
    return unknown(TINY, mapped())


def make(name: str, folder: Path) -> None:
    """Write one model and its image processor into `folder`."""
    write(TINY[name], mapped(), folder)
    if name == "oneformer":
        save_tokenizer(folder)


def save_tokenizer(folder: Path) -> None:
    """Write a CLIP tokenizer that knows letters alone."""
    letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    words = [*letters, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    kind = {"tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind), encoding="utf-8")


def main(argv: list[str]) -> int:
    """Make the models named on the command line, or all; print a line of JSON for each, and one about the table."""
    return tell(argv, TINY, mapped(), make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
