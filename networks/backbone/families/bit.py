"""BiT, and the ResNet of hybrid ViTs: timm's ResNetV2."""

from __future__ import annotations

from typing import Any

from families.common import activation, require
from families.network import Call, Name, Network

MODEL_TYPES = ("bit",)

_STRIDE = 32  # of the last feature map
_MULTIPLE = 8  # to which the base class rounds the width of the stem
_CONV_EPS, _NORM_EPS = 1e-8, 1e-5
_STEM, _WIDTHS = 64, (256, 512, 1024, 2048)
_SIZES = (
    ("50x1", [3, 4, 6, 3], 1),
    ("50x3", [3, 4, 6, 3], 3),
    ("101x1", [3, 4, 23, 3], 1),
    ("101x3", [3, 4, 23, 3], 3),
    ("152x2", [3, 8, 36, 3], 2),
    ("152x4", [3, 8, 36, 3], 4),
)


def timm(config: Any) -> Network:
    """Return timm's ResNetV2 in the size of `config`, and the sizes of the paper."""
    require(config.width_factor == 1, "it has a width factor")
    require(config.output_stride == _STRIDE, "its last stages keep the resolution")
    require(not config.embedding_size % _MULTIPLE, f"its stem's width is not a multiple of {_MULTIPLE}")
    preactivated = config.layer_type != "bottleneck"
    convolution, stem = _padding(config, preactivated)
    return Network(
        base="timm.models.resnetv2.ResNetV2",
        arguments={
            "layers": list(config.depths),
            "channels": list(config.hidden_sizes),
            "stem_chs": config.embedding_size,
            "stem_type": stem,
            "preact": preactivated,
            "act_layer": activation(config.hidden_act),
            "norm_layer": Call(
                "functools.partial",
                (Name("timm.layers.GroupNormAct"),),
                {"num_groups": config.num_groups, "eps": _NORM_EPS},
            ),
            "conv_layer": Call("functools.partial", (Name(convolution),), {"eps": _CONV_EPS}),
            "drop_path_rate": float(config.drop_path_rate),
        },
        rules=(
            ("bit.embedder.convolution.{tensor}", "stem.conv.{tensor}", ""),
            ("bit.embedder.norm.{tensor}", "stem.norm.{tensor}", ""),
            ("bit.encoder.stages.{i}.layers.{j}.{tensor}", "stages.{i}.blocks.{j}.{tensor}", ""),
            ("bit.norm.{tensor}", "norm.{tensor}", ""),
            ("classifier.1.{tensor}", "head.fc.{tensor}", "reshape"),
        ),
        variants={
            name: {
                "layers": layers,
                "channels": [width * factor for width in _WIDTHS],
                "stem_chs": _STEM * factor,
            }
            for name, layers, factor in _SIZES
        },
    )


def _padding(config: Any, preactivated: bool) -> tuple[str, str]:
    """Return the class of the convolutions and the type of the stem.

    Raises:
        NotTheSame: the base class has no such padding.
    """
    padding = (config.global_padding or "symmetric").lower()
    if padding == "symmetric":
        require(not config.embedding_dynamic_padding, "its stem pads twice")
        require(preactivated, "its stem pads before it normalizes")
        return "timm.layers.StdConv2d", "fixed"
    require(padding == "same" and config.embedding_dynamic_padding, f"its padding is {padding}")
    require(not preactivated and config.hidden_act == "relu", "its stem pads with zeros what may be negative")
    return "timm.layers.StdConv2dSame", "same"
