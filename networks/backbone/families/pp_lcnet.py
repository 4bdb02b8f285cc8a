"""PP-LCNet: timm's MobileNetV3 class in that layout."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from families.common import require
from families.inverted_residuals import Stage, arguments, block_args
from families.network import Call, Name, Network

MODEL_TYPES = ("pp_lcnet",)

_NORM_EPS = 1e-5
_STEM_STRIDE = 2
_SIZES = (("035", 0.35), ("050", 0.5), ("075", 0.75), ("100", 1.0), ("150", 1.5))
_BLOCK, _TARGET = "encoder.blocks.{i}.layers.{j}.", "blocks.{i}.{j}."
_RULES = (
    ("encoder.convolution.convolution.{tensor}", "conv_stem.{tensor}", ""),
    ("encoder.convolution.normalization.{tensor}", "bn1.{tensor}", ""),
    (f"{_BLOCK}depthwise_convolution.convolution.{{tensor}}", f"{_TARGET}conv_dw.{{tensor}}", ""),
    (f"{_BLOCK}depthwise_convolution.normalization.{{tensor}}", f"{_TARGET}bn1.{{tensor}}", ""),
    (f"{_BLOCK}squeeze_excitation_module.convolutions.0.{{tensor}}", f"{_TARGET}se.conv_reduce.{{tensor}}", ""),
    (f"{_BLOCK}squeeze_excitation_module.convolutions.2.{{tensor}}", f"{_TARGET}se.conv_expand.{{tensor}}", ""),
    (f"{_BLOCK}pointwise_convolution.convolution.{{tensor}}", f"{_TARGET}conv_pw.{{tensor}}", ""),
    (f"{_BLOCK}pointwise_convolution.normalization.{{tensor}}", f"{_TARGET}bn2.{{tensor}}", ""),
    ("last_convolution.{tensor}", "conv_head.{tensor}", ""),
    ("head.{tensor}", "classifier.{tensor}", ""),
)

_METHODS = '''\
def forward_head(self, x, pre_logits=False):
    """Return logits, or what enters the classifier; it is scaled as the checkpoint scales it instead of dropout.

    Args:
        x (torch.Tensor): Feature map of shape (B, C, H, W).
        pre_logits (bool): Return what enters the classifier.
    """
    x = {kept!r} * super().forward_head(x, pre_logits=True)
    return x if pre_logits else self.classifier(x)'''


def timm(config: Any) -> Network:
    """Return timm's LCNet in the size of `config`, and other widths that timm knows."""
    require(config.stem_stride == _STEM_STRIDE, "its stem has a stride of its own")
    return Network(
        base="timm.models.mobilenetv3.MobileNetV3",
        arguments=_arguments(config, config.scale),
        rules=_RULES,
        methods=_METHODS.format(kept=1 - config.hidden_dropout_prob) if config.hidden_dropout_prob else "",
        variants={name: _arguments(config, width) for name, width in _SIZES},
    )


def _arguments(config: Any, width: float) -> dict[str, Any]:
    stages = [_stage(config, width, blocks) for blocks in config.block_configs]
    found = arguments(
        [part for stage in stages for part in stage],
        _scaled(config, width, config.stem_channels),
        config.class_expand,
        act=config.hidden_act,
        eps=_NORM_EPS,
    )
    return {
        **found,
        "block_args": block_args(stages),
        "head_bias": False,
        "se_layer": Call(
            "functools.partial",
            (Name("timm.models._efficientnet_blocks.SqueezeExcite"),),
            {"gate_layer": Name("torch.nn.Hardsigmoid"), "force_act_layer": Name("torch.nn.ReLU")},
        ),
    }


def _stage(config: Any, width: float, blocks: list[list[Any]]) -> list[Stage]:
    """Return a stage, in parts of blocks that are the same.

    Args:
        config: the transformers configuration.
        width: of all channels.
        blocks: for each block the kernel, channels in and out, stride, and whether it has squeeze and excitation.
    """
    parts: list[Stage] = []
    for (kernel, leave, stride, squeezed), group in groupby(blocks, lambda block: (block[0], *block[2:])):
        same = list(group)
        require(stride in (1, 2), "a stride is not the same in both directions")
        if stride > 1:
            require(not parts and len(same) == 1, "a stage lowers the resolution after its first block")
        enters = [_scaled(config, width, block[1]) for block in same]
        ratio = 1 / config.reduction if squeezed else 0.0
        if squeezed:
            alike = all(round(enter * ratio) == enter // config.reduction for enter in enters)
            require(alike, "its squeeze and excitation rounds its width down")
        parts.append(Stage("dsa", len(same), enters[0], _scaled(config, width, leave), kernel, stride, squeeze=ratio))
    return parts


def _scaled(config: Any, width: float, channels: int) -> int:
    """Return channels scaled to a width: to a multiple of the divisor, never more than a tenth down."""
    exact, divisor = channels * width, config.divisor
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * exact else rounded + divisor
