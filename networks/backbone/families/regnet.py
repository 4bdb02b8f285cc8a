"""RegNet, with and without squeeze and excitation (Y and X): timm's, with widths and depths as they are."""

from __future__ import annotations

from typing import Any

from families.common import activation, require
from families.network import Call, Network

MODEL_TYPES = ("regnet",)

_BLOCK = "regnet.encoder.stages.{i}.layers.{j}."
_PARTS = {
    "x": {"layer.0": "conv1", "layer.1": "conv2", "layer.2": "conv3", "shortcut": "downsample"},
    "y": {"layer.0": "conv1", "layer.1": "conv2", "layer.3": "conv3", "shortcut": "downsample"},
}
_STAGES = 4
_STEM = 32  # width
_SIZES = {  # in hundreds of megaflops; those beyond are for self-supervised training
    "x": (
        ("002", [24, 56, 152, 368], [1, 1, 4, 7], 8),
        ("004", [32, 64, 160, 384], [1, 2, 7, 12], 16),
        ("006", [48, 96, 240, 528], [1, 3, 5, 7], 24),
        ("008", [64, 128, 288, 672], [1, 3, 7, 5], 16),
        ("016", [72, 168, 408, 912], [2, 4, 10, 2], 24),
        ("032", [96, 192, 432, 1008], [2, 6, 15, 2], 48),
        ("040", [80, 240, 560, 1360], [2, 5, 14, 2], 40),
        ("064", [168, 392, 784, 1624], [2, 4, 10, 1], 56),
        ("080", [80, 240, 720, 1920], [2, 5, 15, 1], 120),
        ("120", [224, 448, 896, 2240], [2, 5, 11, 1], 112),
        ("160", [256, 512, 896, 2048], [2, 6, 13, 1], 128),
        ("320", [336, 672, 1344, 2520], [2, 7, 13, 1], 168),
    ),
    "y": (
        ("002", [24, 56, 152, 368], [1, 1, 4, 7], 8),
        ("004", [48, 104, 208, 440], [1, 3, 6, 6], 8),
        ("006", [48, 112, 256, 608], [1, 3, 7, 4], 16),
        ("008", [64, 128, 320, 768], [1, 3, 8, 2], 16),
        ("016", [48, 120, 336, 888], [2, 6, 17, 2], 24),
        ("032", [72, 216, 576, 1512], [2, 5, 13, 1], 24),
        ("040", [128, 192, 512, 1088], [2, 6, 12, 2], 64),
        ("064", [144, 288, 576, 1296], [2, 7, 14, 2], 72),
        ("080", [168, 448, 896, 2016], [2, 4, 10, 1], 56),
        ("120", [224, 448, 896, 2240], [2, 5, 11, 1], 112),
        ("160", [224, 448, 1232, 3024], [2, 4, 11, 1], 112),
        ("320", [232, 696, 1392, 3712], [2, 5, 12, 1], 232),
    ),
}
_SQUEEZE = {"x": 0.0, "y": 0.25}

_METHODS = '''\
def _get_stage_args(self, cfg, default_stride=2, output_stride=32, drop_path_rate=0.0):
    """Return what the stages are built from: `cfg` lists their widths and depths, in place of the rule for them.

    Args:
        cfg (RegNetCfg): The architecture; ``w0`` and ``depth`` are lists with an item for each stage.
        default_stride (int): Stride of each stage.
        output_stride (int): Stride of the last feature map; no other than 32.
        drop_path_rate (float): Rate of stochastic depth in the last block.

    Returns:
        tuple[list[dict], dict]: Arguments of each stage, and arguments of all.

    Raises:
        ValueError: If `output_stride` is not 32.
    """
    if output_stride != 32:
        raise ValueError(f"output_stride is {output_stride}; it can only be 32.")
    rates = calculate_drop_path_rates(drop_path_rate, cfg.depth, stagewise=True)
    stages = [
        {
            "out_chs": width,
            "depth": depth,
            "stride": default_stride,
            "dilation": 1,
            "bottle_ratio": cfg.bottle_ratio,
            "group_size": min(cfg.group_size, width),
            "drop_path_rates": stage_rates,
        }
        for width, depth, stage_rates in zip(cfg.w0, cfg.depth, rates)
    ]
    common = ("downsample", "se_ratio", "linear_out", "act_layer", "norm_layer")
    return stages, {name: getattr(cfg, name) for name in common}'''


def timm(config: Any) -> Network:
    """Return timm's RegNet in the size of `config`, and the sizes of the paper."""
    kind = "x" if config.layer_type == "x" else "y"
    require(len(config.depths) == len(config.hidden_sizes) == _STAGES, f"it does not have {_STAGES} stages")
    require(config.downsample_in_first_stage, "its first stage keeps the resolution")
    if kind == "y":
        require(config.hidden_act == "relu", f"its squeeze and excitation has ReLU, its blocks {config.hidden_act}")
    return Network(
        base="timm.models.regnet.RegNet",
        arguments=_arguments(
            config, kind, config.hidden_sizes, config.depths, config.groups_width, config.embedding_size
        ),
        rules=_rules(kind),
        imports=("from timm.layers import calculate_drop_path_rates",),
        methods=_METHODS,
        variants=_variants(config, kind),
    )


def _arguments(config: Any, kind: str, widths: Any, depths: Any, group: int, stem: int) -> dict[str, Any]:
    kwargs = {
        "stem_width": stem,
        "w0": list(widths),
        "depth": list(depths),
        "group_size": group,
        "se_ratio": _SQUEEZE[kind],
        "act_layer": activation(config.hidden_act),
    }
    return {"cfg": Call("timm.models.regnet.RegNetCfg", kwargs=kwargs)}


def _rules(kind: str) -> tuple[tuple[str, str, str], ...]:
    rules = [
        ("regnet.embedder.embedder.convolution.{tensor}", "stem.conv.{tensor}", ""),
        ("regnet.embedder.embedder.normalization.{tensor}", "stem.bn.{tensor}", ""),
    ]
    for part, target in _PARTS[kind].items():
        rules.append((f"{_BLOCK}{part}.convolution.{{tensor}}", f"s{{i+1}}.b{{j+1}}.{target}.conv.{{tensor}}", ""))
        rules.append((f"{_BLOCK}{part}.normalization.{{tensor}}", f"s{{i+1}}.b{{j+1}}.{target}.bn.{{tensor}}", ""))
    if kind == "y":
        rules.append((f"{_BLOCK}layer.2.attention.0.{{tensor}}", "s{i+1}.b{j+1}.se.fc1.{tensor}", ""))
        rules.append((f"{_BLOCK}layer.2.attention.2.{{tensor}}", "s{i+1}.b{j+1}.se.fc2.{tensor}", ""))
    return (*rules, ("classifier.1.{tensor}", "head.fc.{tensor}", ""))


def _variants(config: Any, kind: str) -> dict[str, dict[str, Any]]:
    """Return the sizes of the paper, with what its rule gives for each."""
    return {
        name: _arguments(config, kind, widths, depths, group, _STEM) for name, widths, depths, group in _SIZES[kind]
    }
