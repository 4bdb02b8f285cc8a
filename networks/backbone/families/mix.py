"""What SegFormer's encoder and PVT v2 share: they are one network, in TAO's class and in timm's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from families.common import layer_norm, require
from families.network import Network

_DEFAULT_EPS = 1e-5  # of the norms that neither class takes an argument for
_SIZES = {
    "b0": ([2, 2, 2, 2], [32, 64, 160, 256]),
    "b1": ([2, 2, 2, 2], [64, 128, 320, 512]),
    "b2": ([3, 4, 6, 3], [64, 128, 320, 512]),
    "b3": ([3, 4, 18, 3], [64, 128, 320, 512]),
    "b4": ([3, 8, 27, 3], [64, 128, 320, 512]),
    "b5": ([3, 6, 40, 3], [64, 128, 320, 512]),
}

# Both classes have norms that do not follow `norm_layer`.
_SAME_EPS = """\
for module in self.modules():
    if isinstance(module, nn.LayerNorm):
        module.eps = {eps!r}"""


def mix_transformer(config: Any, names: Mapping[str, str], **options: Any) -> Network:
    """Return TAO's MixTransformer in the size of `config`.

    Args:
        config: the model's transformers configuration.
        names: what the Hugging Face model calls a stage and its parts.
        options: `eps` of all norms and `qkv_bias`; further fields of the network.
    """
    return _network(
        "nvidia_tao_pytorch.cv.backbone_v2.mit.MixTransformer",
        config,
        rules=(
            (f"{names['stage']}{names['embed']}proj.{{tensor}}", "patch_embed{i+1}.proj.{tensor}", ""),
            (f"{names['stage']}{names['embed']}layer_norm.{{tensor}}", "patch_embed{i+1}.norm.{tensor}", ""),
            *_block_rules(names, "block{i+1}.{j}.", "mlp.dwconv.dwconv"),
            (f"{names['stage']}layer_norm.{{tensor}}", "norm{i+1}.{tensor}", ""),
            ("classifier.{tensor}", "head.{tensor}", ""),
        ),
        **options,
    )


def pyramid_transformer(config: Any, names: Mapping[str, str], **options: Any) -> Network:
    """Return timm's PyramidVisionTransformerV2 in the size of `config`, and the sizes of the papers.

    Args:
        config: the model's transformers configuration.
        names: what the Hugging Face model calls a stage and its parts.
        options: `eps` of all norms and `qkv_bias`; further fields of the network.
    """
    first = names["stage"].replace("{i}", "0") + names["embed"]
    return _network(
        "timm.models.pvt_v2.PyramidVisionTransformerV2",
        config,
        rules=(
            (f"{first}proj.{{tensor}}", "patch_embed.proj.{tensor}", ""),
            (f"{first}layer_norm.{{tensor}}", "patch_embed.norm.{tensor}", ""),
            (f"{names['stage']}{names['embed']}proj.{{tensor}}", "stages.{i}.downsample.proj.{tensor}", ""),
            (f"{names['stage']}{names['embed']}layer_norm.{{tensor}}", "stages.{i}.downsample.norm.{tensor}", ""),
            *_block_rules(names, "stages.{i}.blocks.{j}.", "mlp.dwconv"),
            (f"{names['stage']}layer_norm.{{tensor}}", "stages.{i}.norm.{tensor}", ""),
            ("classifier.{tensor}", "head.{tensor}", ""),
        ),
        variants={
            name: {"depths": depths, "embed_dims": widths, "num_heads": [1, 2, 5, 8]}
            for name, (depths, widths) in _SIZES.items()
        },
        **options,
    )


def _network(base: str, config: Any, eps: float, qkv_bias: bool, **fields: Any) -> Network:
    stages = len(config.depths)
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    require(config.num_encoder_blocks == stages == 4, f"it has {config.num_encoder_blocks} stages")
    require(list(config.patch_sizes) == [7, 3, 3, 3], "its patches have other sizes")
    require(list(config.strides) == [4, 2, 2, 2], "its patches have other strides")
    return Network(
        base=base,
        arguments={
            "depths": list(config.depths),
            "embed_dims": list(config.hidden_sizes),
            "num_heads": list(config.num_attention_heads),
            "mlp_ratios": list(config.mlp_ratios),
            "sr_ratios": list(config.sr_ratios),
            "qkv_bias": qkv_bias,
            "drop_path_rate": float(config.drop_path_rate),
            "norm_layer": layer_norm(eps),
            **fields.pop("arguments", {}),
        },
        setup="" if eps == _DEFAULT_EPS else _SAME_EPS.format(eps=float(eps)),
        **fields,
    )


def _block_rules(names: Mapping[str, str], target: str, depthwise: str) -> tuple[tuple[str, str, str], ...]:
    block = f"{names['stage']}blocks.{{j}}."
    keys_and_values = " + ".join(f"{block}{names[part]}{{tensor}}" for part in ("key", "value"))
    return (
        (f"{block}{names['norm1']}{{tensor}}", f"{target}norm1.{{tensor}}", ""),
        (f"{block}{names['query']}{{tensor}}", f"{target}attn.q.{{tensor}}", ""),
        (keys_and_values, f"{target}attn.kv.{{tensor}}", ""),
        (f"{block}{names['reduction']}{{tensor}}", f"{target}attn.sr.{{tensor}}", ""),
        (f"{block}{names['reduction_norm']}{{tensor}}", f"{target}attn.norm.{{tensor}}", ""),
        (f"{block}{names['output']}{{tensor}}", f"{target}attn.proj.{{tensor}}", ""),
        (f"{block}{names['norm2']}{{tensor}}", f"{target}norm2.{{tensor}}", ""),
        (f"{block}{names['fc1']}{{tensor}}", f"{target}mlp.fc1.{{tensor}}", ""),
        (f"{block}mlp.dwconv.dwconv.{{tensor}}", f"{target}{depthwise}.{{tensor}}", ""),
        (f"{block}{names['fc2']}{{tensor}}", f"{target}mlp.fc2.{{tensor}}", ""),
    )
