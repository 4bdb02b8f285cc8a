"""EfficientNet: timm's, with TensorFlow's padding as the checkpoints have it: by fixed amounts."""

from __future__ import annotations

import math
from typing import Any

from families.common import require
from families.inverted_residuals import BASE, Stage, arguments, block_rules, block_spellings
from families.network import Network

MODEL_TYPES = ("efficientnet",)

_STEM, _LAST = 32, 1280  # channels before scaling
_POOLING = {"mean": "avg", "max": "max"}
_SIZES = (  # width and depth
    ("b0", 1.0, 1.0),
    ("b1", 1.0, 1.1),
    ("b2", 1.1, 1.2),
    ("b3", 1.2, 1.4),
    ("b4", 1.4, 1.8),
    ("b5", 1.6, 2.2),
    ("b6", 1.8, 2.6),
    ("b7", 2.0, 3.1),
)
_PARTS = (
    ("expansion.expand_conv", "expansion.expand_bn"),
    ("depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm"),
    ("projection.project_conv", "projection.project_bn"),
)
_SQUEEZE = {"squeeze_excite.reduce": "se.conv_reduce", "squeeze_excite.expand": "se.conv_expand"}
_METHODS = '''\
def _pad_strided(self, even_blocks):
    """Let the convolutions of stride 2 pad by fixed amounts: one less before than after.

    Args:
        even_blocks (Sequence[int]): Blocks, counted from 0, that pad as much before as after.
    """
    blocks = [block for stage in self.blocks for block in stage]
    for index, conv in enumerate([self.conv_stem, *(block.conv_dw for block in blocks)], start=-1):
        if conv.stride == (2, 2):
            after = conv.kernel_size[0] // 2
            before = after if index in even_blocks else after - 1
            conv.padding = (0, 0)
            conv.pad = nn.ZeroPad2d((before, after, before, after))
            conv.register_forward_pre_hook(self._pad)

@staticmethod
def _pad(conv, args):
    """Return what enters a convolution, padded."""
    return conv.pad(args[0])'''


def timm(config: Any) -> Network:
    """Return timm's EfficientNet in the size of `config`, and the sizes of the paper."""
    require(all(size % 2 for size in config.kernel_sizes), "it has kernels of an even size")
    require(config.pooling_type in _POOLING, f"it pools by {config.pooling_type}")
    stages = _stages(config, config.width_coefficient, config.depth_coefficient)
    require(all(map(_squeezes_alike, stages)), "its squeeze and excitation rounds its width down")
    even_blocks = sorted(block for block in config.depthwise_padding if block >= 0)
    return Network(
        base=BASE,
        arguments=_arguments(config, config.width_coefficient, config.depth_coefficient),
        rules=(
            ("efficientnet.embeddings.convolution.{tensor}", "conv_stem.{tensor}", ""),
            ("efficientnet.embeddings.batchnorm.{tensor}", "bn1.{tensor}", ""),
            *block_rules(stages, _PARTS, _SQUEEZE),
            ("efficientnet.encoder.top_conv.{tensor}", "conv_head.{tensor}", ""),
            ("efficientnet.encoder.top_bn.{tensor}", "bn2.{tensor}", ""),
            ("classifier.{tensor}", "classifier.{tensor}", ""),
        ),
        spellings=block_spellings(r"efficientnet\.encoder\.blocks", stages),
        setup=f"self._pad_strided(even_blocks={even_blocks})",
        methods=_METHODS,
        variants={name: _arguments(config, width, depth) for name, width, depth in _SIZES},
    )


def _arguments(config: Any, width: float, depth: float) -> dict[str, Any]:
    return {
        **arguments(
            _stages(config, width, depth),
            _scaled(config, width, _STEM),
            _scaled(config, width, _LAST),
            act=config.hidden_act,
            eps=config.batch_norm_eps,
        ),
        "global_pool": _POOLING[config.pooling_type],
        "drop_rate": float(config.dropout_rate),
        "drop_path_rate": float(config.drop_connect_rate),
    }


def _stages(config: Any, width: float, depth: float) -> list[Stage]:
    rows = zip(
        config.num_block_repeats,
        config.in_channels,
        config.out_channels,
        config.kernel_sizes,
        config.strides,
        config.expand_ratios,
        strict=False,
    )
    return [
        Stage(
            kind="ds" if expansion == 1 else "ir",
            depth=math.ceil(depth * repeats),
            width_in=_scaled(config, width, width_in),
            width=_scaled(config, width, width_out),
            kernel=kernel,
            stride=stride,
            expansion=expansion,
            squeeze=config.squeeze_expansion_ratio,
            first_adds=False,
        )
        for repeats, width_in, width_out, kernel, stride, expansion in rows
    ]


def _scaled(config: Any, width: float, channels: int) -> int:
    """Return channels scaled to a width: to a multiple of the divisor, never more than a tenth down."""
    exact, divisor = channels * width, config.depth_divisor
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * exact else rounded + divisor


def _squeezes_alike(stage: Stage) -> bool:
    """Return whether rounding down gives the squeeze's width that timm's rounding gives, in all blocks of a stage."""
    widths = {stage.width_in, stage.width} if stage.depth > 1 else {stage.width_in}
    return all(
        max(1, int(width * stage.squeeze)) == round(width * stage.expansion * (stage.squeeze / stage.expansion))
        for width in widths
    )
