"""Swin Transformer, and Donut's encoder, which is one without the last norm."""

from __future__ import annotations

from typing import Any

from families.common import joined, require
from families.network import Network
from families.windows import WHOLE_WINDOWS, arguments, block_names, rules, sizes

MODEL_TYPES = ("swin", "donut-swin")

# transformers 5.24 renamed the parts of Swin's blocks, and not of Donut's; checkpoints and transformers 4 have the
# older names.
SPELLINGS = (
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.relative_position_", ".attention.relative_position_bias.relative_position_"),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)
_PARTS = {"output": "attention.o_proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}

# The base class shifts the windows of every second block, whatever the size of the feature map.
_TAO_SHIFTS = """\
# Windows are not shifted where one of them covers a side of the feature map.
grid = [-(-side // patch) for side, patch in zip(img_size, self.patch_embed.patch_size)]
for layer in self.layers:
    if min(grid) <= layer.window_size:
        for block in layer.blocks:
            block.shift_size = 0
    grid = [(side + 1) // 2 for side in grid]"""

# The base class decides for each of the two sides.
_TIMM_SHIFTS = """\
# Windows are not shifted where one of them covers a side of the feature map.
for stage in self.layers:
    for block in stage.blocks:
        if 0 in block.shift_size:
            block.shift_size, block.attn_mask = (0, 0), None"""


def reuse(config: Any) -> Network:
    """Return TAO's Swin in the size of `config`."""
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    return Network(
        base="nvidia_tao_pytorch.cv.backbone_v2.swin.SwinTransformer",
        arguments={**arguments(config), "out_indices": [], "post_norm": _has_norm(config)},
        rules=(
            *_rules(config, downsample="layers.{i}.downsample", norm="post_norm", head="head"),
            ("", "layers.{i}.blocks.{j}.attn.relative_position_index", "computed from the window size"),
        ),
        spellings=SPELLINGS,
        sized=True,
        setup=_TAO_SHIFTS,
    )


def timm(config: Any) -> Network:
    """Return timm's Swin in the size of `config`, and the sizes of the paper."""
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    no_norm = () if _has_norm(config) else ("self.norm = nn.Identity()",)
    return Network(
        base="timm.models.swin_transformer.SwinTransformer",
        arguments=arguments(config),
        rules=_rules(config, downsample="layers.{i+1}.downsample", norm="norm", head="head.fc"),
        spellings=SPELLINGS,
        sized=True,
        setup="\n".join((*no_norm, _TIMM_SHIFTS, WHOLE_WINDOWS)),
        variants=sizes({"tiny": (7,), "small": (7,), "base": (7, 12), "large": (7, 12)}),
    )


def _has_norm(config: Any) -> bool:
    return config.model_type == "swin"


def _rules(config: Any, **target: str) -> tuple[tuple[str, str, str], ...]:
    prefix = config.model_type.partition("-")[0]
    block, place = block_names(prefix)
    bias = f"{block}attention.relative_position_bias.relative_position_"
    return (
        (
            joined(f"{block}attention.", ("q_proj", "k_proj", "v_proj"), ".{tensor}"),
            f"{place}attn.qkv.{{tensor}}",
            "",
        ),
        (f"{bias}bias_table", f"{place}attn.relative_position_bias_table", ""),
        (f"{bias}index", "", "computed from the window size"),
        *rules(prefix, _PARTS, **target),
    )
