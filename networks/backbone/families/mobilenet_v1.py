"""MobileNetV1: timm's EfficientNet class in that layout, with TensorFlow's padding where the checkpoint has it."""

from __future__ import annotations

from typing import Any

from families.inverted_residuals import BASE, Stage, arguments, block_rules
from families.network import Network

MODEL_TYPES = ("mobilenet_v1",)

_STEM = 32  # channels before scaling
_STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))  # channels, blocks, stride
_SIZES = (("050", 0.5), ("075", 0.75), ("100", 1.0), ("125", 1.25))
_PARTS = (
    ("", ""),
    ("depthwise.convolution", "depthwise.normalization"),
    ("project.convolution", "project.normalization"),
)


def timm(config: Any) -> Network:
    """Return timm's MobileNetV1 in the size of `config`, and other widths that timm knows."""
    stages = _stages(config, config.depth_multiplier)
    return Network(
        base=BASE,
        arguments=_arguments(config, config.depth_multiplier),
        rules=(
            ("mobilenet_v1.conv_stem.convolution.{tensor}", "conv_stem.{tensor}", ""),
            ("mobilenet_v1.conv_stem.normalization.{tensor}", "bn1.{tensor}", ""),
            *block_rules(stages, _PARTS, {}),
            ("classifier.{tensor}", "classifier.{tensor}", ""),
        ),
        spellings=_spellings(stages),
        variants={name: _arguments(config, width) for name, width in _SIZES},
    )


def _arguments(config: Any, width: float) -> dict[str, Any]:
    found = arguments(
        _stages(config, width),
        _scaled(config, width, _STEM),
        0,
        act=config.hidden_act,
        eps=config.layer_norm_eps,
        pad_type="same" if config.tf_padding else "",
    )
    return {**found, "drop_rate": float(config.classifier_dropout_prob)}


def _stages(config: Any, width: float) -> list[Stage]:
    stages, enter = [], _scaled(config, width, _STEM)
    for channels, depth, stride in _STAGES:
        stages.append(Stage("dsa", depth, enter, _scaled(config, width, channels), stride=stride))
        enter = stages[-1].width
    return stages


def _scaled(config: Any, width: float, channels: int) -> int:
    return max(int(channels * width), config.min_depth)


def _spellings(stages: list[Stage]) -> tuple[tuple[str, str], ...]:
    """Return spellings that number layers by stage and block: two layers are a block."""
    places = [(place, block) for place, stage in enumerate(stages) for block in range(stage.depth)]
    return tuple(
        (rf"^mobilenet_v1\.layer\.{2 * number + layer}\.", f"blocks.{place}.{block}.{part}.")
        for number, (place, block) in enumerate(places)
        for layer, part in enumerate(("depthwise", "project"))
    )
