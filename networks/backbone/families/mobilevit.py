"""MobileViT and MobileViTV2: timm's ByobNet with their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from families.common import activation, joined, layer_norm, require
from families.network import Call, Name, Network

MODEL_TYPES = ("mobilevit", "mobilevitv2")

_STRIDE = 32  # of the last feature map
_MULTIPLE = 8  # to which the base class rounds widths
_DEPTHS = {"mobilevit": (1, 3), "mobilevitv2": (1, 2)}  # of the two stages without transformers
_TRANSFORMERS = (2, 4, 3)  # of the other three, in MobileViT
_SIZES = (  # widths before, between and after the stages, of the transformers, and the expansion in the other blocks
    ("xxs", (16, 16, 24, 48, 64, 80, 320), (64, 80, 96), 2.0),
    ("xs", (16, 32, 48, 64, 80, 96, 384), (96, 120, 144), 4.0),
    ("s", (16, 32, 64, 96, 128, 160, 640), (144, 192, 240), 4.0),
)
_WIDTHS_V2 = (64, 128, 256, 384, 512)
_SIZES_V2 = (("050", 0.5), ("075", 0.75), ("100", 1.0), ("125", 1.25), ("150", 1.5), ("175", 1.75), ("200", 2.0))
_RESIDUAL = {"expand_1x1": "conv1_1x1", "conv_3x3": "conv2_kxk", "reduce_1x1": "conv3_1x1"}


def timm(config: Any) -> Network:
    """Return timm's MobileViT or MobileViTV2 in the size of `config`, and the sizes of the papers."""
    require(config.output_stride == _STRIDE, "its last stages keep the resolution")
    first = config.model_type == "mobilevit"
    if first:
        require(config.qkv_bias, "its attention has no bias")
        sizes = {name: _arguments(config, widths, dims, ratio) for name, widths, dims, ratio in _SIZES}
        arguments = _arguments(config, config.neck_hidden_sizes, config.hidden_sizes, config.expand_ratio)
    else:
        sizes = {name: _arguments_v2(config, width) for name, width in _SIZES_V2}
        arguments = _arguments_v2(config, config.width_multiplier)
    return Network(
        base="timm.models.byobnet.ByobNet",
        arguments={**arguments, "drop_rate": float(config.classifier_dropout_prob) if first else 0.0},
        rules=_rules(config.model_type),
        variants=sizes,
    )


def _arguments(config: Any, widths: Sequence[int], dims: Sequence[int], expansion: float) -> dict[str, Any]:
    blocks = []
    for dim, depth in zip(dims, _TRANSFORMERS, strict=False):
        kwargs = {
            "kernel_size": config.conv_kernel_size,
            "transformer_dim": dim,
            "transformer_depth": depth,
            "num_heads": config.num_attention_heads,
            "mlp_ratio": float(config.mlp_ratio),
            "patch_size": config.patch_size,
            "transformer_norm_layer": layer_norm(config.layer_norm_eps),
        }
        blocks.append({"type": "mobilevit", "block_kwargs": kwargs})
    cfg = _cfg(config, widths[0], widths[1:6], expansion, blocks)
    cfg.kwargs["num_features"] = widths[6]
    return {"cfg": cfg}


def _arguments_v2(config: Any, width: float) -> dict[str, Any]:
    blocks = []
    for base, depth in zip(config.base_attn_unit_dims, config.n_attn_blocks, strict=False):
        dim = _rounded(base * width)
        hidden = config.ffn_multiplier * dim // 16 * 16
        require(int(dim * (hidden / dim)) == hidden, "the widths of its MLPs are not a multiple of the transformer's")
        kwargs = {
            "kernel_size": config.conv_kernel_size,
            "transformer_dim": dim,
            "transformer_depth": depth,
            "mlp_ratio": hidden / dim,
            "patch_size": config.patch_size,
            "transformer_norm_layer": Call(
                "functools.partial", (Name("timm.layers.GroupNorm1"),), {"eps": float(config.layer_norm_eps)}
            ),
        }
        blocks.append({"type": "mobilevit2", "gs": 1, "block_kwargs": kwargs})
    stem = _rounded(max(16, min(64, 32 * width)), least=16)
    widths = [_rounded(_WIDTHS_V2[0] * width, 16), *(_rounded(channels * width) for channels in _WIDTHS_V2[1:])]
    return {"cfg": _cfg(config, stem, widths, config.expand_ratio, blocks)}


def _cfg(config: Any, stem: int, widths: Sequence[int], expansion: float, blocks: list[dict[str, Any]]) -> Call:
    """Return the base class's configuration.

    Args:
        config: the transformers configuration.
        stem: channels of the stem.
        widths: channels of the five stages.
        expansion: in blocks without transformers.
        blocks: what is particular about the blocks with transformers, one in each of the last stages.
    """
    require(not any(width % _MULTIPLE for width in widths), f"a width is not a multiple of {_MULTIPLE}")
    stages: list[Any] = []
    depths = (*_DEPTHS[config.model_type], 1, 1, 1)
    for place, (enter, leave, depth) in enumerate(zip([stem, *widths], widths, depths, strict=False)):
        for width in (enter, leave):
            require((width * expansion).is_integer(), "it rounds the widths inside its blocks")
        residual = {
            "type": "bottle",
            "d": depth,
            "c": leave,
            "s": 1 if place == 0 else 2,
            "gs": 1,
            "br": float(expansion),
            "block_kwargs": {"bottle_in": True, "linear_out": True},
        }
        stage = [_block(residual)]
        if place >= len(depths) - len(blocks):
            particular = blocks[place - len(depths)]
            stage.append(_block({"type": particular["type"], "d": 1, "c": leave, "s": 1, **particular}))
        stages.append(stage)
    kwargs = {
        "blocks": stages,
        "stem_chs": stem,
        "stem_type": "3x3",
        "stem_pool": "",
        "downsample": "",
        "act_layer": activation(config.hidden_act),
    }
    return Call("timm.models.byobnet.ByoModelCfg", kwargs=kwargs)


def _block(kwargs: dict[str, Any]) -> Call:
    return Call("timm.models.byobnet.ByoBlockCfg", kwargs=kwargs)


def _rounded(width: float, divisor: int = 8, least: int | None = None) -> int:
    """Return a width as a multiple of the divisor, at least `least`, never more than a tenth less."""
    rounded = max(least or divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor


def _rules(prefix: str) -> tuple[tuple[str, str, str], ...]:
    layer, stage = f"{prefix}.encoder.layer.{{i}}.", "stages.{i}."
    rules = [*_normed(f"{prefix}.conv_stem", "stem")]
    for name, target in _RESIDUAL.items():
        rules += _normed(f"{layer}layer.{{j}}.{name}", f"{stage}{{j}}.{target}")
        rules += _normed(f"{layer}downsampling_layer.{name}", f"{stage}0.{target}")
    rules += _normed(f"{layer}conv_kxk", f"{stage}1.conv_kxk")
    rules.append((f"{layer}conv_1x1.convolution.{{tensor}}", f"{stage}1.conv_1x1.{{tensor}}", ""))
    transformer, target = f"{layer}transformer.layer.{{j}}.", f"{stage}1.transformer.{{j}}."
    rules.append((f"{transformer}layernorm_before.{{tensor}}", f"{target}norm1.{{tensor}}", ""))
    rules.append((f"{transformer}layernorm_after.{{tensor}}", f"{target}norm2.{{tensor}}", ""))
    if prefix == "mobilevit":
        qkv = joined(f"{transformer}attention.attention.", ("query", "key", "value"), ".{tensor}")
        rules += [
            (qkv, f"{target}attn.qkv.{{tensor}}", ""),
            (f"{transformer}attention.output.dense.{{tensor}}", f"{target}attn.proj.{{tensor}}", ""),
            (f"{transformer}intermediate.dense.{{tensor}}", f"{target}mlp.fc1.{{tensor}}", ""),
            (f"{transformer}output.dense.{{tensor}}", f"{target}mlp.fc2.{{tensor}}", ""),
            *_normed(f"{layer}fusion", f"{stage}1.conv_fusion"),
            *_normed(f"{prefix}.conv_1x1_exp", "final_conv"),
        ]
    else:
        rules += [
            (f"{transformer}attention.{part}_proj.convolution.{{tensor}}", f"{target}attn.{part}_proj.{{tensor}}", "")
            for part in ("qkv", "out")
        ]
        rules += [
            (f"{transformer}ffn.conv{place}.convolution.{{tensor}}", f"{target}mlp.fc{place}.{{tensor}}", "")
            for place in (1, 2)
        ]
    return (
        *rules,
        (f"{layer}layernorm.{{tensor}}", f"{stage}1.norm.{{tensor}}", ""),
        *_normed(f"{layer}conv_projection", f"{stage}1.conv_proj"),
        ("classifier.{tensor}", "head.fc.{tensor}", ""),
    )


def _normed(name: str, target: str) -> list[tuple[str, str, str]]:
    """Return the rules of a convolution and the batch norm behind it."""
    return [
        (f"{name}.convolution.{{tensor}}", f"{target}.conv.{{tensor}}", ""),
        (f"{name}.normalization.{{tensor}}", f"{target}.bn.{{tensor}}", ""),
    ]
