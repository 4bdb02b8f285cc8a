"""What the Swin architectures share: arguments, names of tensors, sizes, and where timm pads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from families.common import layer_norm, require

_NORM_EPS = 1e-5  # of the norms that do not follow the configuration

# timm pads feature maps after their windows have been shifted, the Hugging Face models before. The outcome is the same
# only where no window holds padding together with tokens from both ends of the feature map.
WHOLE_WINDOWS = """\
for stage in self.layers:
    for block in stage.blocks:
        sides = zip(block.input_resolution, block.window_size)
        if any(block.shift_size) and any(side % window not in (0, window / 2) for side, window in sides):
            raise ValueError(f"Images of {list(img_size)} pixels give feature maps of broken windows.")
if any(side % patch for side, patch in zip(img_size, self.patch_embed.patch_size)):
    raise ValueError(f"Images of {list(img_size)} pixels are not made of whole patches.")"""


def arguments(config: Any) -> dict[str, Any]:
    """Return the arguments that TAO's and timm's classes share.

    Raises:
        NotTheSame: neither class computes what the configuration says.
    """
    require(not config.use_absolute_embeddings, "it adds position embeddings to the patches")
    require(config.layer_norm_eps == _NORM_EPS, "the epsilon of its blocks' norms is not that of the others")
    return {
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": config.window_size,
        "mlp_ratio": float(config.mlp_ratio),
        "qkv_bias": config.qkv_bias,
        "drop_path_rate": float(config.drop_path_rate),
        "norm_layer": layer_norm(_NORM_EPS),
    }


def sizes(windows: dict[str, tuple[int, ...]]) -> dict[str, dict[str, Any]]:
    """Return the sizes of the papers, each with some window sizes, as variants."""
    return {
        f"{name}_window{window}": {
            "embed_dim": width,
            "depths": [2, 2, depth, 2],
            "num_heads": [heads, 2 * heads, 4 * heads, 8 * heads],
            "window_size": window,
        }
        for name, width, depth, heads in (
            ("tiny", 96, 6, 3),
            ("small", 96, 18, 3),
            ("base", 128, 18, 4),
            ("large", 192, 18, 6),
        )
        for window in windows.get(name, ())
    }


def rules(
    prefix: str, parts: Mapping[str, str], downsample: str, norm: str, head: str
) -> tuple[tuple[str, str, str], ...]:
    """Return the conversion rules for everything but queries, keys, values and position biases.

    Args:
        prefix: how the tensors of the Hugging Face model begin.
        parts: what it calls the layers of a block: ``output`` of the attention, ``fc1`` and ``fc2``.
        downsample: what the target calls what leads from stage ``{i}`` to the next.
        norm: what the target calls the last norm.
        head: what the target calls the classification head.
    """
    block, target = block_names(prefix)
    return (
        (f"{prefix}.embeddings.patch_embeddings.projection.{{tensor}}", "patch_embed.proj.{tensor}", ""),
        (f"{prefix}.embeddings.norm.{{tensor}}", "patch_embed.norm.{tensor}", ""),
        (f"{block}layernorm_before.{{tensor}}", f"{target}norm1.{{tensor}}", ""),
        (f"{block}{parts['output']}.{{tensor}}", f"{target}attn.proj.{{tensor}}", ""),
        (f"{block}layernorm_after.{{tensor}}", f"{target}norm2.{{tensor}}", ""),
        (f"{block}{parts['fc1']}.{{tensor}}", f"{target}mlp.fc1.{{tensor}}", ""),
        (f"{block}{parts['fc2']}.{{tensor}}", f"{target}mlp.fc2.{{tensor}}", ""),
        (f"{prefix}.encoder.layers.{{i}}.downsample.{{tensor}}", f"{downsample}.{{tensor}}", ""),
        (f"{prefix}.layernorm.{{tensor}}", f"{norm}.{{tensor}}", ""),
        ("classifier.{tensor}", f"{head}.{{tensor}}", ""),
    )


def block_names(prefix: str) -> tuple[str, str]:
    """Return how the names of a block's tensors begin, in the Hugging Face model and in the target."""
    return f"{prefix}.encoder.layers.{{i}}.blocks.{{j}}.", "layers.{i}.blocks.{j}."
