"""Swin Transformer V2."""

from __future__ import annotations

from typing import Any

from families.common import activation, joined, pair
from families.network import Network
from families.windows import WHOLE_WINDOWS, arguments, block_names, rules, sizes

MODEL_TYPES = ("swinv2",)

_PARTS = {"output": "attention.output.dense", "fc1": "intermediate.dense", "fc2": "output.dense"}

# The base class fits the windows to every image size, side by side.
_WINDOWS = """\
# Windows are square and stay as the native image size makes them: where its feature map, of as many rows as
# listed here, is no higher than a window, it is one window, and nothing is shifted. The mask counts twice.
for stage, rows in zip(self.layers, {rows}):
    window = min(rows, kwargs["window_size"])
    for block in stage.blocks:
        if window == rows:
            block.target_shift_size = (0, 0)
        block.set_input_size(block.input_resolution, (window, window), always_partition=True)
        if block.attn_mask is not None:
            block.attn_mask *= 2"""


def timm(config: Any) -> Network:
    """Return timm's Swin V2 in the size of `config`, and the sizes of the paper."""
    height = pair(config.image_size)[0] // pair(config.patch_size)[0]
    rows = [height // 2**stage for stage in range(len(config.depths))]
    pretrained = config.pretrained_window_sizes or [0] * len(config.depths)
    return Network(
        base="timm.models.swin_transformer_v2.SwinTransformerV2",
        arguments={
            **arguments(config),
            "act_layer": activation(config.hidden_act),
            "pretrained_window_sizes": list(pretrained),
        },
        rules=_rules(),
        sized=True,
        setup="\n".join((_WINDOWS.format(rows=rows), WHOLE_WINDOWS)),
        variants=sizes({"tiny": (8, 16), "small": (8, 16), "base": (8, 12, 16, 24), "large": (12, 16, 24)}),
    )


def _rules() -> tuple[tuple[str, str, str], ...]:
    block, place = block_names("swinv2")
    attention = f"{block}attention.self."
    return (
        (joined(attention, ("query", "key", "value"), ".weight"), f"{place}attn.qkv.weight", ""),
        (f"{attention}query.bias", f"{place}attn.q_bias", ""),
        (f"{attention}value.bias", f"{place}attn.v_bias", ""),
        (f"{attention}logit_scale", f"{place}attn.logit_scale", ""),
        (f"{attention}continuous_position_bias_mlp.{{tensor}}", f"{place}attn.cpb_mlp.{{tensor}}", ""),
        (f"{attention}relative_{{tensor}}", "", "computed from the window size"),
        *rules("swinv2", _PARTS, downsample="layers.{i+1}.downsample", norm="norm", head="head.fc"),
    )
