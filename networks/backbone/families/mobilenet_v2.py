"""MobileNetV2: timm's EfficientNet class in that layout, with TensorFlow's padding where the checkpoint has it."""

from __future__ import annotations

from typing import Any

from families.common import require
from families.inverted_residuals import BASE, Stage, arguments, block_rules, block_spellings
from families.network import Network

MODEL_TYPES = ("mobilenet_v2",)

_STEM, _FIRST, _LAST = 32, 16, 1280  # channels before scaling
_STAGES = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))  # channels, blocks, stride
_STRIDE = 32  # of the last feature map, unless the configuration says another
_SIZES = (("050", 0.5), ("075", 0.75), ("100", 1.0), ("140", 1.4))
_PARTS = tuple((f"{part}.convolution", f"{part}.normalization") for part in ("expand_1x1", "conv_3x3", "reduce_1x1"))


def timm(config: Any) -> Network:
    """Return timm's MobileNetV2 in the size of `config`, and other widths that timm knows."""
    stages = _stages(config, config.depth_multiplier)
    return Network(
        base=BASE,
        arguments=_arguments(config, config.depth_multiplier),
        rules=(
            ("mobilenet_v2.conv_stem.first_conv.convolution.{tensor}", "conv_stem.{tensor}", ""),
            ("mobilenet_v2.conv_stem.first_conv.normalization.{tensor}", "bn1.{tensor}", ""),
            *block_rules(stages, _PARTS, {}),
            ("mobilenet_v2.conv_1x1.convolution.{tensor}", "conv_head.{tensor}", ""),
            ("mobilenet_v2.conv_1x1.normalization.{tensor}", "bn2.{tensor}", ""),
            ("classifier.{tensor}", "classifier.{tensor}", ""),
        ),
        spellings=(
            (r"^mobilenet_v2\.conv_stem\.(expand_1x1|conv_3x3|reduce_1x1)\.", r"blocks.0.0.\1."),
            *block_spellings(r"mobilenet_v2\.layer", stages[1:], first=1),
        ),
        variants={name: _arguments(config, width) for name, width in _SIZES},
    )


def _arguments(config: Any, width: float) -> dict[str, Any]:
    last = _LAST if config.finegrained_output and width < 1 else _scaled(config, width, _LAST)
    found = arguments(
        _stages(config, width),
        _scaled(config, width, _STEM),
        last,
        act=config.hidden_act,
        eps=config.layer_norm_eps,
        pad_type="same" if config.tf_padding else "",
    )
    found["drop_rate"] = float(config.classifier_dropout_prob)
    return {**found, "output_stride": config.output_stride} if config.output_stride != _STRIDE else found


def _stages(config: Any, width: float) -> list[Stage]:
    """Return the stages; the first, which transformers has in the stem, never adds what entered it."""
    ratio = config.expand_ratio
    stem, first = _scaled(config, width, _STEM), _scaled(config, width, _FIRST)
    kind = "ds" if config.first_layer_is_expansion else "ir"
    stages = [Stage(kind, 1, stem, first, first_adds=False)]
    for channels, depth, stride in _STAGES:
        enter, leave = stages[-1].width, _scaled(config, width, channels)
        for inner in (enter, leave):
            expanded = _rounded(config, round(inner * ratio))
            require(expanded == inner * ratio, "it rounds the widths inside its blocks")
        stages.append(Stage("ir", depth, enter, leave, stride=stride, expansion=ratio))
    return stages


def _scaled(config: Any, width: float, channels: int) -> int:
    return _rounded(config, round(channels * width))


def _rounded(config: Any, channels: int) -> int:
    """Return channels as a multiple of the divisor, at least the minimum, never more than a tenth less."""
    divisor = config.depth_divisible_by
    rounded = max(config.min_depth, int(channels + divisor / 2) // divisor * divisor)
    return int(rounded if rounded >= 0.9 * channels else rounded + divisor)
