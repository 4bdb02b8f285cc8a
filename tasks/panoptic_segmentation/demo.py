"""The demo of panoptic segmentation: a small random Mask2Former, and digits pasted on a night over grass.

All digits are of one class: a Mask2Former of random weights learns early where each of them is, and which it is late.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODEL = "digits_mask2former"
DATA = "digits-panoptic"
TRAINING = (
    "train.num_epochs=6",
    "train.checkpoint_interval=6",
    "train.validation_interval=3",
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
    ("native PQ", "≥ 0.75", lambda r: r["metrics"]["native"]["PQ"], lambda v: v >= 0.75),
    ("native PQ of the digits", "≥ 0.50", lambda r: r["metrics"]["native"]["PQ_things"], lambda v: v >= 0.50),
    (
        "deployed PQ, distance from native",
        "≤ 0.01",
        lambda r: abs(r["metrics"]["native"]["PQ"] - r["metrics"]["deployed"]["PQ"]),
        lambda v: v <= 0.01,
    ),
    ("pixels in the same segments, deployed", "≥ 0.99", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.99),
    ("pixels in the same segments, FP16", "≥ 0.95", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.95),
    ("PQ that INT8 loses", "< 0.01", lambda r: r["int8"]["loss"], lambda v: v < 0.01),
)
_IMAGE_SIZE = 96  # pixels
_SCENES = {"train": 800, "val": 60, "test": 150}
_DIGIT_SIZES = (26, 48)  # pixels
_MOST_DIGITS = 3
_CLASSES = ["digit", "night", "grass"]


def save_model(folder: Path) -> None:
    """Save a Mask2Former with random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessor

    torch.manual_seed(0)
    config = Mask2FormerConfig(
        backbone_config={
            "model_type": "resnet",
            "embedding_size": 16,
            "hidden_sizes": [16, 32, 64, 96],
            "depths": [1, 1, 1, 1],
            "layer_type": "basic",
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        feature_size=64,
        mask_feature_size=64,
        hidden_dim=64,
        encoder_feedforward_dim=128,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        dim_feedforward=128,
        num_queries=12,
        train_num_points=512,
        id2label=dict(enumerate(_CLASSES)),
        label2id={name: index for index, name in enumerate(_CLASSES)},
    )
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    Mask2FormerImageProcessor(size={"height": _IMAGE_SIZE, "width": _IMAGE_SIZE}).save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the scenes as PNGs and their segments in COCO panoptic format: digits are things, the rest is stuff."""
    import numpy as np
    from PIL import Image

    from demo import coco
    from demo.scenes import make_scenes

    def segments(path: Path, scene: Any) -> list[dict[str, Any]]:
        # Segments 1 and 2 are the night and the grass, the digits come after them.
        background = np.where(np.arange(_IMAGE_SIZE)[:, None] < scene.horizon, 1, 2)
        ids = np.where(scene.objects > 0, scene.objects + 2, background).astype(np.uint8)
        segment_map = folder / "panoptic" / path.parent.name / path.name
        segment_map.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.dstack([ids, 0 * ids, 0 * ids])).save(segment_map)
        names = ["night", "grass", *("digit" for _ in scene.labels)]
        infos = [
            {"id": number, "category_id": _CLASSES.index(name) + 1, "iscrowd": 0}
            for number, name in enumerate(names, start=1)
        ]
        return [{"file_name": path.name, "segments_info": infos}]

    categories = [
        {"id": label + 1, "name": name, "isthing": int(name == "digit")} for label, name in enumerate(_CLASSES)
    ]
    splits = {
        split: make_scenes(split, count, _IMAGE_SIZE, _DIGIT_SIZES, _MOST_DIGITS, grass=True)
        for split, count in _SCENES.items()
    }
    coco.save(folder, categories, splits, segments)
