"""The demo of semantic segmentation: a small random SegFormer, and digits pasted on canvases, with masks."""

from __future__ import annotations

from pathlib import Path

MODEL = "digits_segformer"
DATA = "digits-masks"
TRAINING = (
    "train.num_epochs=30",
    "train.checkpoint_interval=30",
    "train.validation_interval=5",
    "train.optim.lr=0.002",
    "train.optim.warmup_epochs=2",
    "dataset.batch_size=16",
    "dataset.augmentation.random_flip.enable=false",
    "dataset.augmentation.random_scale_crop.enable=false",
)
MINUTES = {"local": 10, "docker": 15}
GOALS = (
    ("native mIoU", "≥ 0.60", lambda r: r["metrics"]["native"]["mIoU"], lambda v: v >= 0.60),
    (
        "deployed mIoU, distance from native",
        "≤ 0.005",
        lambda r: abs(r["metrics"]["native"]["mIoU"] - r["metrics"]["deployed"]["mIoU"]),
        lambda v: v <= 0.005,
    ),
    ("same pixels, native and deployed", "≥ 0.995", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.995),
    ("same pixels, native and FP16", "≥ 0.98", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.98),
    ("mIoU that INT8 loses", "< 0.01", lambda r: r["int8"]["loss"], lambda v: v < 0.01),
)
_IMAGE_SIZE = 96  # pixels
_SCENES = {"train": 1000, "val": 60, "test": 200}
_DIGIT_SIZES = (32, 56)  # pixels
_MOST_DIGITS = 3
_BACKGROUND = "background"


def save_model(folder: Path) -> None:
    """Save a SegFormer with random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    from demo.scenes import NAMES

    torch.manual_seed(0)
    names = [_BACKGROUND, *NAMES]
    config = SegformerConfig(
        depths=[1, 1, 2, 1],
        hidden_sizes=[32, 64, 96, 128],
        num_attention_heads=[1, 2, 4, 4],
        decoder_hidden_size=96,
        classifier_dropout_prob=0.0,
        drop_path_rate=0.0,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    processor = SegformerImageProcessor(size={"height": _IMAGE_SIZE, "width": _IMAGE_SIZE}, do_reduce_labels=False)
    processor.save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the scenes and their masks as PNGs: 0 is the background, digit + 1 the ink of a digit."""
    from PIL import Image

    from demo.scenes import NAMES, make_scenes

    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join([_BACKGROUND, *NAMES]) + "\n", encoding="utf-8")
    for split, count in _SCENES.items():
        (folder / split).mkdir()
        (folder / "masks" / split).mkdir(parents=True)
        for index, scene in enumerate(make_scenes(split, count, _IMAGE_SIZE, _DIGIT_SIZES, _MOST_DIGITS)):
            Image.fromarray(scene.pixels).save(folder / split / f"{index:04d}.png")
            Image.fromarray(scene.mask).save(folder / "masks" / split / f"{index:04d}.png")
