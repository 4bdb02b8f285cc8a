"""Swin Transformer, and Donut's encoder, which is one without the last norm."""

from __future__ import annotations

from typing import Any

from families.common import layer_norm, require
from families.network import Network
from families.windows import SPELLINGS, attention_rules

MODEL_TYPES = ("swin", "donut-swin")

_NORM_EPS = 1e-5  # of the norms that do not follow the configuration

# The base class shifts the windows of every second block, whatever the size of the feature map.
_TAO_SHIFTS = """\
# Windows are not shifted where one of them covers a side of the feature map.
grid = [-(-side // patch) for side, patch in zip(img_size, self.patch_embed.patch_size)]
for layer in self.layers:
    if min(grid) <= layer.window_size:
        for block in layer.blocks:
            block.shift_size = 0
    grid = [(side + 1) // 2 for side in grid]"""

# The base class decides for each of the two sides, and pads feature maps after the shift instead of before it, which is
# the same only where no window mixes padding and image.
_TIMM_SHIFTS = """\
# Windows are not shifted where one of them covers a side of the feature map.
for stage in self.layers:
    for block in stage.blocks:
        if 0 in block.shift_size:
            block.shift_size, block.attn_mask = (0, 0), None
        elif any(side % window not in (0, window / 2) for side, window in zip(block.input_resolution, block.window_size)):
            raise ValueError(f"Images of {list(img_size)} pixels give feature maps that are not made of whole or half windows.")
if any(side % patch for side, patch in zip(img_size, self.patch_embed.patch_size)):
    raise ValueError(f"Images of {list(img_size)} pixels are not made of whole patches.")"""


def reuse(config: Any) -> Network:
    """Return TAO's Swin in the size of `config`."""
    last_norm = config.model_type == "swin"
    return Network(
        base="nvidia_tao_pytorch.cv.backbone_v2.swin.SwinTransformer",
        arguments={**_arguments(config), "out_indices": [], "post_norm": last_norm},
        rules=(
            *_rules(_prefix(config), "layers.{i}.downsample.{tensor}", "post_norm.{tensor}", "head.{tensor}"),
            ("", "layers.{i}.blocks.{j}.attn.relative_position_index", "computed from the window size"),
        ),
        spellings=SPELLINGS,
        sized=True,
        setup=_TAO_SHIFTS,
    )


def timm(config: Any) -> Network:
    """Return timm's Swin in the size of `config`, and the sizes of the paper."""
    last_norm = config.model_type == "swin"
    variants = {
        f"{name}_patch4_window{window}": {
            "embed_dim": width,
            "depths": [2, 2, depth, 2],
            "num_heads": [heads, 2 * heads, 4 * heads, 8 * heads],
            "window_size": window,
        }
        for name, width, depth, heads, windows in (
            ("tiny", 96, 6, 3, (7,)),
            ("small", 96, 18, 3, (7,)),
            ("base", 128, 18, 4, (7, 12)),
            ("large", 192, 18, 6, (7, 12)),
        )
        for window in windows
    }
    return Network(
        base="timm.models.swin_transformer.SwinTransformer",
        arguments=_arguments(config),
        rules=_rules(_prefix(config), "layers.{i+1}.downsample.{tensor}", "norm.{tensor}", "head.fc.{tensor}"),
        spellings=SPELLINGS,
        sized=True,
        setup=_TIMM_SHIFTS if last_norm else f"self.norm = nn.Identity()\n{_TIMM_SHIFTS}",
        variants=variants,
    )


def _arguments(config: Any) -> dict[str, Any]:
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
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


def _prefix(config: Any) -> str:
    return config.model_type.partition("-")[0]


def _rules(prefix: str, downsample: str, norm: str, head: str) -> tuple[tuple[str, str, str], ...]:
    return (
        (f"{prefix}.embeddings.patch_embeddings.projection.{{tensor}}", "patch_embed.proj.{tensor}", ""),
        (f"{prefix}.embeddings.norm.{{tensor}}", "patch_embed.norm.{tensor}", ""),
        *attention_rules(prefix),
        (f"{prefix}.encoder.layers.{{i}}.downsample.{{tensor}}", downsample, ""),
        (f"{prefix}.layernorm.{{tensor}}", norm, ""),
        ("classifier.{tensor}", head, ""),
    )
