"""SwiftFormer: timm's, with the attention as transformers computes it."""

from __future__ import annotations

from typing import Any

from families.common import activation, require
from families.network import Network

MODEL_TYPES = ("swiftformer",)

_EPS = 1e-5  # of the batch norms; fixed in the base class
_SIZES = (
    ("xs", [3, 3, 6, 4], [48, 56, 112, 220]),
    ("s", [3, 3, 9, 6], [48, 64, 168, 224]),
    ("l1", [4, 3, 10, 5], [48, 96, 192, 384]),
    ("l3", [4, 4, 12, 6], [64, 128, 320, 512]),
)
_SETUP = """\
# All tokens weigh alike: the checkpoint takes the softmax of one number.
for stage in self.stages:
    attention = stage.blocks[-1].attn
    del attention.w_g
    attention.forward = partial(self._attend, attention)"""
_METHODS = '''\
@staticmethod
def _attend(attention, x):
    """Return a feature map after additive attention in which all tokens weigh alike.

    Args:
        attention (EfficientAdditiveAttention): The attention.
        x (torch.Tensor): Feature map of shape (B, C, H, W).
    """
    tokens = x.flatten(2).transpose(1, 2)
    query = nn.functional.normalize(attention.to_query(tokens), dim=-1)
    key = nn.functional.normalize(attention.to_key(tokens), dim=-1)
    mixed = attention.proj(query.sum(dim=1, keepdim=True) * key) + query
    return attention.final(mixed).transpose(1, 2).reshape(x.shape)'''


def timm(config: Any) -> Network:
    """Return timm's SwiftFormer in the size of `config`, and the sizes of the paper."""
    require(config.hidden_act == "gelu", f"its blocks mix GELU and {config.hidden_act}")
    require(config.use_layer_scale, "it scales the outputs of some blocks and not of others")
    require(config.batch_norm_eps == _EPS, f"its batch norms have the epsilon {config.batch_norm_eps}")
    require(all(depth > 0 for depth in config.depths), "it has a stage without blocks")
    widths = list(config.embed_dims)
    down = [bool(told) or a != b for told, a, b in zip(config.downsamples, widths, widths[1:], strict=False)]
    return Network(
        base="timm.models.swiftformer.SwiftFormer",
        arguments={
            "layers": list(config.depths),
            "embed_dims": widths,
            "mlp_ratios": config.mlp_ratio,
            "downsamples": [False, *down],
            "act_layer": activation(config.hidden_act),
            "down_patch_size": config.down_patch_size,
            "down_stride": config.down_stride,
            "down_pad": config.down_pad,
            "proj_drop_rate": float(config.drop_mlp_rate),
            "drop_path_rate": float(config.drop_path_rate),
            "layer_scale_init_value": float(config.layer_scale_init_value),
        },
        rules=_rules(),
        spellings=_spellings(down),
        imports=("from functools import partial",),
        setup=_SETUP,
        methods=_METHODS,
        variants={name: {"layers": depths, "embed_dims": widths} for name, depths, widths in _SIZES},
    )


def _rules() -> tuple[tuple[str, str, str], ...]:
    block = "stages.{i}.blocks.{j}."
    convolutions = [
        (f"{block}{inside}{name}.{{tensor}}", f"{block}{inside}{target}.{{tensor}}", "")
        for inside in ("", "local_representation.")
        for name, target in (
            ("depth_wise_conv", "dwconv"),
            ("norm", "norm"),
            ("point_wise_conv1", "pwconv1"),
            ("point_wise_conv2", "pwconv2"),
        )
    ]
    scales = [
        (f"{block}{name}", f"{block}{name}.gamma", "")
        for name in ("layer_scale", "local_representation.layer_scale", "layer_scale_1", "layer_scale_2")
    ]
    return (
        ("swiftformer.patch_embed.patch_embedding.{i}.{tensor}", "stem.{i}.{tensor}", ""),
        *convolutions,
        *scales,
        (f"{block}attn.w_g", "", "has no effect: the softmax of one number is 1"),
        (f"{block}attn.{{tensor}}", f"{block}attn.{{tensor}}", ""),
        (f"{block}linear.{{tensor}}", f"{block}linear.{{tensor}}", ""),
        ("stages.{i}.downsample.{tensor}", "stages.{i}.downsample.{tensor}", ""),
        ("norm.{tensor}", "norm.{tensor}", ""),
        ("head.{tensor}", "head.{tensor}", ""),
        ("dist_head.{tensor}", "head_dist.{tensor}", ""),
    )


def _spellings(down: list[bool]) -> tuple[tuple[str, str], ...]:
    """Return spellings that name what the checkpoint numbers: stages, and what is between them."""
    found, number = [], 0
    for stage, between in enumerate([*down, False]):
        found.append((rf"^swiftformer\.encoder\.network\.{number}\.", f"stages.{stage}."))
        if between:
            found.append((rf"^swiftformer\.encoder\.network\.{number + 1}\.", f"stages.{stage + 1}.downsample."))
        number += 1 + between
    return tuple(found)
