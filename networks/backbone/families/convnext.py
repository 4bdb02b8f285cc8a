"""ConvNeXt and ConvNeXt V2."""

from __future__ import annotations

from typing import Any

from families.common import activation, pair, require
from families.network import Network

MODEL_TYPES = ("convnext", "convnextv2")

_NORM_EPS = 1e-6  # of all norms but the last
_SIZES = {
    "atto": ([2, 2, 6, 2], 40),
    "femto": ([2, 2, 6, 2], 48),
    "pico": ([2, 2, 6, 2], 64),
    "nano": ([2, 2, 8, 2], 80),
    "tiny": ([3, 3, 9, 3], 96),
    "small": ([3, 3, 27, 3], 96),
    "base": ([3, 3, 27, 3], 128),
    "large": ([3, 3, 27, 3], 192),
    "xlarge": ([3, 3, 27, 3], 256),
    "huge": ([3, 3, 27, 3], 352),
}


def reuse(config: Any) -> Network:
    """Return TAO's class for both versions of ConvNeXt, in the size of `config`."""
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    block, target = f"{config.model_type}.encoder.stages.{{i}}.layers.{{j}}.", "stages.{i}.{j}."
    return Network(
        base="nvidia_tao_pytorch.cv.backbone_v2.convnext_v2.ConvNeXtV2",
        arguments={**_arguments(config), "layer_scale_init_value": _layer_scale(config) or 0.0},
        rules=(
            *_rules(config.model_type, "downsample_layers.0", "downsample_layers.{i}", "norm", "head"),
            (f"{block}layer_scale_parameter", f"{target}gamma", ""),
            (f"{block}layernorm.{{tensor}}", f"{target}norm.{{tensor}}", ""),
            (f"{block}grn.weight", f"{target}grn.gamma", ""),
            (f"{block}grn.bias", f"{target}grn.beta", ""),
            (f"{block}{{tensor}}", f"{target}{{tensor}}", ""),
        ),
        setup=f"self.norm.eps = {float(config.layer_norm_eps)!r}",
    )


def timm(config: Any) -> Network:
    """Return timm's ConvNeXt in the size of `config`, and the sizes that both papers and timm know."""
    block, target = f"{config.model_type}.encoder.stages.{{i}}.layers.{{j}}.", "stages.{i}.blocks.{j}."
    return Network(
        base="timm.models.convnext.ConvNeXt",
        arguments={
            **_arguments(config),
            "ls_init_value": _layer_scale(config),
            "act_layer": activation(config.hidden_act),
            "norm_eps": _NORM_EPS,
        },
        rules=(
            *_rules(config.model_type, "stem", "stages.{i}.downsample", "head.norm", "head.fc"),
            (f"{block}layer_scale_parameter", f"{target}gamma", ""),
            (f"{block}layernorm.{{tensor}}", f"{target}norm.{{tensor}}", ""),
            (f"{block}dwconv.{{tensor}}", f"{target}conv_dw.{{tensor}}", ""),
            (f"{block}pwconv1.{{tensor}}", f"{target}mlp.fc1.{{tensor}}", ""),
            (f"{block}grn.{{tensor}}", f"{target}mlp.grn.{{tensor}}", "reshape"),
            (f"{block}pwconv2.{{tensor}}", f"{target}mlp.fc2.{{tensor}}", ""),
        ),
        setup=f"self.head.norm.eps = {float(config.layer_norm_eps)!r}",
        variants={
            name: {"depths": depths, "dims": [width, 2 * width, 4 * width, 8 * width]}
            for name, (depths, width) in _SIZES.items()
        },
    )


def _arguments(config: Any) -> dict[str, Any]:
    stages = len(config.depths)
    require(config.num_stages == stages == 4, f"it has {config.num_stages} stages")
    require(pair(config.patch_size) == [4, 4], f"it has patches of {config.patch_size} pixels")
    return {
        "depths": list(config.depths),
        "dims": list(config.hidden_sizes),
        "use_grn": config.model_type == "convnextv2",
        "drop_path_rate": float(config.drop_path_rate),
    }


def _layer_scale(config: Any) -> float | None:
    """Return what the layer scales start with, None where there are none."""
    value = float(getattr(config, "layer_scale_init_value", 0.0))
    return value if value > 0 else None


def _rules(prefix: str, stem: str, downsample: str, norm: str, head: str) -> tuple[tuple[str, str, str], ...]:
    """Return the rules for everything but the blocks."""
    return (
        (f"{prefix}.embeddings.patch_embeddings.{{tensor}}", f"{stem}.0.{{tensor}}", ""),
        (f"{prefix}.embeddings.layernorm.{{tensor}}", f"{stem}.1.{{tensor}}", ""),
        (f"{prefix}.encoder.stages.{{i}}.downsampling_layer.{{tensor}}", f"{downsample}.{{tensor}}", ""),
        (f"{prefix}.layernorm.{{tensor}}", f"{norm}.{{tensor}}", ""),
        ("classifier.{tensor}", f"{head}.{{tensor}}", ""),
    )
