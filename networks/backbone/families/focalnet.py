"""FocalNet."""

from __future__ import annotations

from typing import Any

from families.common import pair, require
from families.network import Call, Name, Network

MODEL_TYPES = ("focalnet",)

_SMALLER = {"focal_windows": [3] * 4, "use_post_norm": False, "use_overlap_down": False, "layerscale_value": None}
_LARGER = {"use_post_norm": True, "use_overlap_down": True, "layerscale_value": 1e-4}

# The Hugging Face model pads feature maps of odd sides, the base class cuts them.
_WHOLE_PATCHES = """\
if any(side % {step} for side in img_size):
    raise ValueError(f"Images of {{list(img_size)}} pixels do not have sides of multiples of {step}.")"""


def timm(config: Any) -> Network:
    """Return timm's FocalNet in the size of `config`, and the sizes of the paper."""
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    require(pair(config.patch_size) == [4, 4], f"it has patches of {config.patch_size} pixels")
    return Network(
        base="timm.models.focalnet.FocalNet",
        arguments={
            "embed_dim": config.embed_dim,
            "depths": list(config.depths),
            "mlp_ratio": float(config.mlp_ratio),
            "focal_levels": list(config.focal_levels),
            "focal_windows": list(config.focal_windows),
            "use_overlap_down": config.use_conv_embed,
            "use_post_norm": config.use_post_layernorm,
            "use_post_norm_in_modulation": config.use_post_layernorm_in_modulation,
            "normalize_modulator": config.normalize_modulator,
            "layerscale_value": float(config.layerscale_value) if config.use_layerscale else None,
            "drop_path_rate": float(config.drop_path_rate),
            "norm_layer": Call(
                "functools.partial", (Name("timm.layers.LayerNorm2d"),), {"eps": float(config.layer_norm_eps)}
            ),
        },
        rules=_rules("_post" if config.use_post_layernorm else ""),
        setup=_WHOLE_PATCHES.format(step=4 * 2 ** (len(config.depths) - 1)),
        variants={
            **{
                f"{name}_{field}": {"embed_dim": width, "depths": [2, 2, depth, 2], "focal_levels": levels, **_SMALLER}
                for name, width, depth in (("tiny", 96, 6), ("small", 96, 18), ("base", 128, 18))
                for field, levels in (("srf", [2] * 4), ("lrf", [3] * 4))
            },
            **{
                f"{name}_fl{level}": {
                    "embed_dim": width,
                    "depths": [2, 2, 18, 2],
                    "focal_levels": [level] * 4,
                    "focal_windows": [window] * 4,
                    "use_post_norm_in_modulation": name == "huge",
                    **_LARGER,
                }
                for name, width, windows in (("large", 192, (5, 3)), ("xlarge", 256, (5, 3)), ("huge", 352, (3, 3)))
                for level, window in zip((3, 4), windows, strict=True)
            },
        },
    )


def _rules(post: str) -> tuple[tuple[str, str, str], ...]:
    """Return the rules; `post` follows the names of norms that come after what they belong to."""
    block, target = "focalnet.encoder.stages.{i}.layers.{j}.", "layers.{i}.blocks.{j}."
    down = "focalnet.encoder.stages.{i}.downsample."
    return (
        ("focalnet.embeddings.patch_embeddings.projection.{tensor}", "stem.proj.{tensor}", ""),
        ("focalnet.embeddings.norm.{tensor}", "stem.norm.{tensor}", ""),
        (f"{block}norm1.{{tensor}}", f"{target}norm1{post}.{{tensor}}", ""),
        (f"{block}norm2.{{tensor}}", f"{target}norm2{post}.{{tensor}}", ""),
        (f"{block}gamma_{{k}}", f"{target}ls{{k}}.gamma", ""),
        (f"{block}modulation.projection_in.{{tensor}}", f"{target}modulation.f.{{tensor}}", "reshape"),
        (f"{block}modulation.projection_context.{{tensor}}", f"{target}modulation.h.{{tensor}}", ""),
        (f"{block}modulation.projection_out.{{tensor}}", f"{target}modulation.proj.{{tensor}}", "reshape"),
        (f"{block}modulation.layernorm.{{tensor}}", f"{target}modulation.norm.{{tensor}}", ""),
        (f"{block}modulation.focal_layers.{{tensor}}", f"{target}modulation.focal_layers.{{tensor}}", ""),
        (f"{block}mlp.{{tensor}}", f"{target}mlp.{{tensor}}", "reshape"),
        (f"{down}projection.{{tensor}}", "layers.{i+1}.downsample.proj.{tensor}", ""),
        (f"{down}norm.{{tensor}}", "layers.{i+1}.downsample.norm.{tensor}", ""),
        ("focalnet.layernorm.{tensor}", "norm.{tensor}", ""),
        ("classifier.{tensor}", "head.fc.{tensor}", ""),
    )
