"""The demo of image classification: a small ViT, and scikit-learn's handwritten digits, one folder for each."""

from __future__ import annotations

from pathlib import Path

MODEL = "digits_vit"
DATA = "digits"
TRAINING = (
    "train.num_epochs=16",
    "train.checkpoint_interval=16",
    "train.optim.lr=0.001",
    "train.optim.warmup_epochs=2",
    "dataset.batch_size=32",
    "dataset.augmentation.random_flip.enable=false",
)
MINUTES = {"local": 6, "docker": 10}
GOALS = (
    ("native top-1", "≥ 0.90", lambda r: r["metrics"]["native"]["top_1_accuracy"], lambda v: v >= 0.90),
    (
        "deployed top-1, distance from native",
        "≤ 0.005",
        lambda r: abs(r["metrics"]["native"]["top_1_accuracy"] - r["metrics"]["deployed"]["top_1_accuracy"]),
        lambda v: v <= 0.005,
    ),
    ("same label, native and deployed", "≥ 0.995", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.995),
    ("largest logit difference", "≤ 0.001", lambda r: r["cross_check"]["max_abs_diff"], lambda v: v <= 1e-3),
    ("same label, native and FP16", "≥ 0.98", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.98),
    ("top-1 that INT8 loses", "< 0.01", lambda r: r["int8"]["loss"], lambda v: v < 0.01),
)
_IMAGE_SIZE = 32  # pixels


def save_model(folder: Path) -> None:
    """Save a ViT classifier with random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    from demo.scenes import NAMES

    torch.manual_seed(0)
    config = ViTConfig(
        image_size=_IMAGE_SIZE,
        patch_size=8,
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=192,
        id2label=dict(enumerate(NAMES)),
        label2id={name: index for index, name in enumerate(NAMES)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": _IMAGE_SIZE, "width": _IMAGE_SIZE}).save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the 1,797 handwritten digits as PNGs: 70 % to train, 10 % to val, 20 % to test, each by class."""
    import numpy as np
    from PIL import Image

    from demo.scenes import NAMES, split_digits

    for split, (images, targets) in split_digits().items():
        for index, (image, target) in enumerate(zip(images, targets, strict=True)):
            path = folder / split / NAMES[target] / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(image * 255.0).astype(np.uint8)).save(path)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
