"""The demo of depth estimation: a small random GLPN, and digits standing on a floor at known distances.

The camera is a metre above the floor and looks straight ahead: the floor is at a depth that follows from the row of a
picture, a digit at that of the floor that it stands on, and larger the nearer it is. A wall ends the room.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MODEL = "digits_glpn"
DATA = "digits-depth"
TRAINING = (
    "train.num_epochs=8",
    "train.checkpoint_interval=8",
    "train.validation_interval=4",
    "train.optim.lr=0.002",
    "train.optim.lr_backbone=0.002",
    "train.optim.warmup_epochs=1",
    "dataset.batch_size=16",
)
MINUTES = {"local": 8, "docker": 12}
GOALS = (
    ("native AbsRel", "≤ 0.15", lambda r: r["metrics"]["native"]["abs_rel"], lambda v: v <= 0.15),
    (
        "deployed AbsRel, distance from native",
        "≤ 0.002",
        lambda r: abs(r["metrics"]["native"]["abs_rel"] - r["metrics"]["deployed"]["abs_rel"]),
        lambda v: v <= 0.002,
    ),
    ("same depths, native and deployed", "≥ 0.995", lambda r: r["cross_check"]["agreement"], lambda v: v >= 0.995),
    ("same depths, native and FP16", "≥ 0.98", lambda r: r["cross_check_fp16"]["agreement"], lambda v: v >= 0.98),
    ("AbsRel that INT8 loses", "< 0.01", lambda r: r["int8"]["loss"], lambda v: v < 0.01),
)
_IMAGE_SIZE = 96  # pixels
_SCENES = {"train": 600, "val": 60, "test": 150}
_MOST_DIGITS = 3
_CAMERA = 1.0  # metres above the floor
_FOCAL = 0.9  # of the picture's width
_HORIZON = 0.35  # of the picture's height, from the top
_WALL = 8.0  # metres
_NEAREST, _FARTHEST = 1.6, 6.0  # metres, of digits
_HEIGHT = 0.8  # metres, of digits
_TILE = 0.5  # metres, of the floor's pattern


def save_model(folder: Path) -> None:
    """Save a GLPN with random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor

    torch.manual_seed(0)
    config = GLPNConfig(
        depths=[1, 1, 2, 1],
        hidden_sizes=[16, 32, 64, 96],
        num_attention_heads=[1, 2, 4, 4],
        decoder_hidden_size=16,
        drop_path_rate=0.0,
        max_depth=10,
    )
    GLPNForDepthEstimation(config).save_pretrained(folder)
    GLPNImageProcessor(size={"height": _IMAGE_SIZE, "width": _IMAGE_SIZE}).save_pretrained(folder)


def save_dataset(folder: Path) -> None:
    """Write the scenes, and their depths in millimetres as PNGs of 16 bits."""
    import numpy as np
    from PIL import Image

    from demo.scenes import split_digits

    for number, (split, count) in enumerate(_SCENES.items()):
        images, depths = folder / split, folder / "depth" / split
        images.mkdir(parents=True)
        depths.mkdir(parents=True)
        rng = np.random.default_rng(number)
        digits, _ = split_digits()[split]
        for index in range(count):
            pixels, depth = _scene(digits, rng)
            Image.fromarray(pixels).save(images / f"{index:04d}.png")
            Image.fromarray((1000 * depth).astype(np.uint16)).save(depths / f"{index:04d}.png")


def _scene(digits: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (side, side, 3) in uint8 and its depths (side, side) in metres."""
    import numpy as np
    from PIL import Image

    side, focal, horizon = _IMAGE_SIZE, _FOCAL * _IMAGE_SIZE, _HORIZON * _IMAGE_SIZE
    rows = np.arange(side) + 0.5 - horizon
    floor = np.where(rows > 0, focal * _CAMERA / np.maximum(rows, 1e-6), np.inf)
    depth = np.repeat(np.minimum(floor, _WALL)[:, None], side, axis=1)
    across = (np.arange(side) + 0.5 - side / 2) / focal * depth
    tiles = (np.floor(across / _TILE + rng.uniform()) + np.floor(depth / _TILE + rng.uniform())) % 2
    grey = np.where(depth < _WALL, 0.25 + 0.2 * tiles, 0.15)
    color = np.repeat(grey[..., None], 3, axis=2)
    for distance in sorted(rng.uniform(_NEAREST, _FARTHEST, int(rng.integers(1, _MOST_DIGITS + 1))), reverse=True):
        size = round(_HEIGHT * focal / distance)
        digit = Image.fromarray((255 * digits[rng.integers(len(digits))]).astype(np.uint8))
        ink = np.asarray(digit.resize((size, size), Image.Resampling.BILINEAR)) / 255
        bottom = round(horizon + focal * _CAMERA / distance)
        left = int(rng.integers(-size // 3, side - 2 * size // 3))
        top, first, last = bottom - size, max(0, left), min(side, left + size)
        lowest = min(side, bottom)
        shown = ink[max(0, -top) : lowest - top, first - left : last - left]
        place = (slice(max(0, top), lowest), slice(first, last))
        color[place] = np.where(shown[..., None] > 0.3, shown[..., None] * rng.uniform(0.7, 1, 3), color[place])
        depth[place] = np.where(shown > 0.3, distance, depth[place])
    noisy = color + rng.normal(0, 0.02, color.shape)
    return (noisy.clip(0, 1) * 255).astype(np.uint8), depth
