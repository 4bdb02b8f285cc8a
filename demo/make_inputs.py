"""Make what the demo starts from: a small Hugging Face ViT on disk, and scikit-learn's digits as a TAO dataset.

Runs inside the local runtime: ``python make_inputs.py MODEL_FOLDER DATASET_FOLDER``.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
IMAGE_SIZE = 32  # pixels


def save_model(folder: Path) -> None:
    """Save a ViT classifier with random weights, as ``save_pretrained`` writes it."""
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=IMAGE_SIZE,
        patch_size=8,
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=192,
        id2label=dict(enumerate(NAMES)),
        label2id={name: index for index, name in enumerate(NAMES)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}).save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the 1,797 handwritten digits as PNGs: 70 % to train, 10 % to val, 20 % to test, each by class."""
    digits = load_digits()
    indices = np.arange(len(digits.target))
    train, rest = train_test_split(indices, test_size=0.3, stratify=digits.target, random_state=0)
    val, test = train_test_split(rest, test_size=2 / 3, stratify=digits.target[rest], random_state=0)
    for split, members in (("train", train), ("val", val), ("test", test)):
        for index in members:
            path = folder / split / NAMES[digits.target[index]] / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.round(digits.images[index] / 16.0 * 255.0).astype(np.uint8)
            Image.fromarray(pixels).save(path)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")


if __name__ == "__main__":
    save_model(Path(sys.argv[1]))
    save_dataset(Path(sys.argv[2]))
