"""The demo of instance segmentation: a small random RF-DETR with masks, and digits pasted on canvases, outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODEL = "digits_rfdetr"
DATA = "digits-instances"
TRAINING = (
    "train.num_epochs=14",
    "train.checkpoint_interval=14",
    "train.validation_interval=7",
    "train.optim.lr=0.002",
    "train.optim.lr_backbone=0.002",
    "train.optim.warmup_epochs=1",
    "train.clip_grad_norm=1.0",
    "dataset.batch_size=16",
    "dataset.augmentation.random_flip.enable=false",
    "dataset.augmentation.random_color.enable=false",
)
MINUTES = {"local": 8, "docker": 12}
GOALS = (
    ("native mask AP50", "≥ 0.40", lambda r: r["metrics"]["native"]["AP50"], lambda v: v >= 0.40),
    (
        "deployed mask AP, distance from native",
        "≤ 0.01",
        lambda r: abs(r["metrics"]["native"]["mAP"] - r["metrics"]["deployed"]["mAP"]),
        lambda v: v <= 0.01,
    ),
    ("instances found again, deployed", "≥ 0.995", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.995),
    ("instances found again, FP16", "≥ 0.95", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.95),
    ("mask AP that INT8 loses", "< 0.01", lambda r: r["int8"]["loss"], lambda v: v < 0.01),
)
_IMAGE_SIZE = 96  # pixels
_SCENES = {"train": 1200, "val": 60, "test": 150}
_DIGIT_SIZES = (26, 48)  # pixels
_MOST_DIGITS = 3


def save_model(folder: Path) -> None:
    """Save an RF-DETR with masks and random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import RfDetrConfig, RfDetrForInstanceSegmentation, RfDetrImageProcessor

    from demo.scenes import NAMES

    torch.manual_seed(0)
    config = RfDetrConfig(
        backbone_config={
            "model_type": "rf_detr_dinov2",
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": _IMAGE_SIZE,
            "patch_size": 8,
            "num_windows": 2,
            "out_indices": [2, 4],
        },
        d_model=64,
        decoder_layers=2,
        decoder_ffn_dim=128,
        decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4,
        num_queries=20,
        group_detr=2,
        id2label=dict(enumerate(NAMES)),
        label2id={name: index for index, name in enumerate(NAMES)},
    )
    RfDetrForInstanceSegmentation(config).save_pretrained(folder)
    RfDetrImageProcessor(size={"height": _IMAGE_SIZE, "width": _IMAGE_SIZE}).save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the scenes as PNGs and their digits in COCO format, with the masks as run lengths."""
    from demo import coco
    from demo.scenes import NAMES, make_scenes

    def instances(_path: Path, scene: Any) -> list[dict[str, Any]]:
        masks = [scene.objects == number for number in range(1, len(scene.labels) + 1)]
        return [
            {
                "category_id": label + 1,
                "bbox": box,
                "segmentation": _run_lengths(pixels),
                "area": int(pixels.sum()),
                "iscrowd": 0,
            }
            for label, box, pixels in zip(scene.labels, scene.boxes, masks, strict=True)
        ]

    categories = [{"id": label + 1, "name": name} for label, name in enumerate(NAMES)]
    splits = {
        split: make_scenes(split, count, _IMAGE_SIZE, _DIGIT_SIZES, _MOST_DIGITS) for split, count in _SCENES.items()
    }
    coco.save(folder, categories, splits, instances)


def _run_lengths(pixels: object) -> dict[str, object]:
    """Return a mask (side, side) as COCO's run lengths, compressed and as text."""
    import numpy as np
    from pycocotools import mask

    encoded = mask.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}
