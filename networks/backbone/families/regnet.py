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
_LARGEST = 320  # of the paper, in hundreds of megaflops; those beyond are for self-supervised training
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
    from timm.models.regnet import RegNet, model_cfgs

    found = {}
    for name, cfg in model_cfgs.items():
        prefix, _, size = name.partition("_")
        if prefix == f"regnet{kind}" and size.isdigit() and int(size) <= _LARGEST:
            stages = RegNet._get_stage_args(None, cfg)[0]
            widths, depths, groups = ([stage[key] for stage in stages] for key in ("out_chs", "depth", "group_size"))
            found[size] = _arguments(config, kind, widths, depths, max(groups), cfg.stem_width)
    return found
