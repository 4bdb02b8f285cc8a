"""ViT: timm's VisionTransformer, which TAO's own extends."""

from __future__ import annotations

from typing import Any

from families.common import ENCODER_SPELLINGS, activation, joined, layer_norm, pair
from families.network import Network

MODEL_TYPES = ("vit",)

RULES = (
    ("vit.embeddings.cls_token", "cls_token", ""),
    ("vit.embeddings.position_embeddings", "pos_embed", ""),
    ("vit.embeddings.patch_embeddings.projection.{tensor}", "patch_embed.proj.{tensor}", ""),
    ("vit.layers.{i}.layernorm_before.{tensor}", "blocks.{i}.norm1.{tensor}", ""),
    (
        joined("vit.layers.{i}.attention.", ("q_proj", "k_proj", "v_proj"), ".{tensor}"),
        "blocks.{i}.attn.qkv.{tensor}",
        "",
    ),
    ("vit.layers.{i}.attention.o_proj.{tensor}", "blocks.{i}.attn.proj.{tensor}", ""),
    ("vit.layers.{i}.layernorm_after.{tensor}", "blocks.{i}.norm2.{tensor}", ""),
    ("vit.layers.{i}.mlp.{tensor}", "blocks.{i}.mlp.{tensor}", ""),
    ("vit.layernorm.{tensor}", "norm.{tensor}", ""),
    ("classifier.{tensor}", "head.{tensor}", ""),
)


def reuse(config: Any) -> Network:
    """Return TAO's ViT in the size of `config`."""
    return _network("nvidia_tao_pytorch.cv.backbone_v2.vit.VisionTransformer", config)


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of `config`, and the sizes that the ViT papers know."""
    sizes = {
        f"{name}_patch{patch}": {"patch_size": patch, "embed_dim": width, "depth": depth, "num_heads": heads}
        for name, patch, width, depth, heads in (
            ("tiny", 16, 192, 12, 3),
            ("small", 16, 384, 12, 6),
            ("base", 16, 768, 12, 12),
            ("base", 32, 768, 12, 12),
            ("large", 16, 1024, 24, 16),
            ("huge", 14, 1280, 32, 16),
        )
    }
    return _network("timm.models.vision_transformer.VisionTransformer", config, sizes)


def _network(base: str, config: Any, variants: dict[str, dict[str, Any]] | None = None) -> Network:
    (height, width), (rows, columns) = pair(config.image_size), pair(config.patch_size)
    return Network(
        base=base,
        arguments={
            "patch_size": config.patch_size,
            "embed_dim": config.hidden_size,
            "depth": config.num_hidden_layers,
            "num_heads": config.num_attention_heads,
            "mlp_ratio": config.intermediate_size / config.hidden_size,
            "qkv_bias": config.qkv_bias,
            "act_layer": activation(config.hidden_act),
            "norm_layer": layer_norm(config.layer_norm_eps),
        },
        rules=RULES,
        spellings=ENCODER_SPELLINGS,
        sized=True,
        positions={"pos_embed": {"prefix": 1, "native": [height // rows, width // columns], "mode": "bicubic"}},
        variants=variants or {},
    )
