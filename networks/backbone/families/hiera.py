"""Hiera: timm's, which TAO's own extends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from families.common import layer_norm, require
from families.network import Network

MODEL_TYPES = ("hiera",)

# The base class calls what leaves the blocks so.
_PRE_LOGITS = '''\
def forward_pre_logits(self, x):
    """Return the features that enter the classification head.

    Args:
        x (torch.Tensor): Images of shape (B, C, H, W), normalized.

    Returns:
        torch.Tensor: Features of shape (B, C): the tokens' mean, normalized.
    """
    return self.forward_head(self.forward_features(x), pre_logits=True)'''


def reuse(config: Any) -> Network:
    """Return TAO's Hiera in the size of `config`."""
    return _network("nvidia_tao_pytorch.cv.backbone_v2.hiera.Hiera", config, methods=_PRE_LOGITS)


def timm(config: Any) -> Network:
    """Return timm's Hiera in the size of `config`, and the sizes of the paper."""
    variants = {
        name: {"embed_dim": width, "num_heads": heads, "stages": depths}
        for name, width, heads, depths in (
            ("tiny", 96, 1, [1, 2, 7, 2]),
            ("small", 96, 1, [1, 2, 11, 2]),
            ("base", 96, 1, [2, 3, 16, 3]),
            ("base_plus", 112, 2, [2, 3, 16, 3]),
            ("large", 144, 2, [2, 6, 36, 4]),
            ("huge", 256, 4, [2, 6, 36, 4]),
        )
    }
    return _network("timm.models.hiera.Hiera", config, variants=variants)


def _network(base: str, config: Any, methods: str = "", variants: dict[str, dict[str, Any]] | None = None) -> Network:
    stages, pools, masked = len(config.depths), config.num_query_pool, list(config.masked_unit_attention)
    widths = [int(config.embed_dim * config.embed_dim_multiplier**stage) for stage in range(stages)]
    growth = config.num_heads[1] / config.num_heads[0] if stages > 1 else 1.0
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    require(
        all(wide == int(narrow * config.embed_dim_multiplier) for narrow, wide in pairwise(widths)),
        "its widths are rounded in another way",
    )
    require(
        all(more == int(fewer * growth) for fewer, more in pairwise(config.num_heads)),
        "its heads do not grow by the same factor from stage to stage",
    )
    require(masked == sorted(masked, reverse=True), "it has attention in mask units after global attention")
    require(not any(masked[pools : stages - 1]), "it has attention in mask units after the last pooling")
    return Network(
        base=base,
        arguments={
            "embed_dim": config.embed_dim,
            "num_heads": config.num_heads[0],
            "stages": list(config.depths),
            "q_pool": pools,
            "q_stride": list(config.query_stride),
            "mask_unit_size": list(config.masked_unit_size),
            "mask_unit_attn": masked,
            "dim_mul": float(config.embed_dim_multiplier),
            "head_mul": float(growth),
            "patch_kernel": list(config.patch_size),
            "patch_stride": list(config.patch_stride),
            "patch_padding": list(config.patch_padding),
            "mlp_ratio": float(config.mlp_ratio),
            "drop_path_rate": float(config.drop_path_rate),
            "norm_layer": layer_norm(config.layer_norm_eps),
        },
        rules=_rules(config),
        sized=True,
        positions={
            "pos_embed": {
                "prefix": 0,
                "native": [side // step for side, step in zip(config.image_size, config.patch_stride, strict=True)],
                "mode": "bicubic",
                "antialias": False,
            }
        },
        setup="self.patch_embed.grid_size = tuple(self.tokens_spatial_shape)",
        methods=methods,
        variants=variants or {},
    )


def _rules(config: Any) -> tuple[tuple[str, str, str], ...]:
    """Return the rules: the Hugging Face model counts blocks anew in every stage."""
    blocks = []
    for stage in range(len(config.depths)):
        before = sum(config.depths[:stage])
        block = f"hiera.encoder.stages.{stage}.layers.{{i}}."
        target = f"blocks.{{i+{before}}}." if before else "blocks.{i}."
        blocks += [
            (f"{block}layernorm_before.{{tensor}}", f"{target}norm1.{{tensor}}", ""),
            (f"{block}layernorm_after.{{tensor}}", f"{target}norm2.{{tensor}}", ""),
            (f"{block}{{tensor}}", f"{target}{{tensor}}", ""),
        ]
    return (
        ("hiera.embeddings.patch_embeddings.projection.{tensor}", "patch_embed.proj.{tensor}", ""),
        ("hiera.embeddings.position_embeddings", "pos_embed", ""),
        *blocks,
        ("hiera.pooler.layernorm.{tensor}", "head.norm.{tensor}", ""),
        ("classifier.{tensor}", "head.fc.{tensor}", ""),
    )
