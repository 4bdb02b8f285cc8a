"""The image sides of CLIP, Meta CLIP 2 and SigLIP as classifiers: timm's VisionTransformer with averaged patches."""

from __future__ import annotations

from typing import Any

from families.common import activation
from families.network import Network
from families.vit_rules import TAO, TIMM, block_rules, network, sizes

MODEL_TYPES = ("clip", "metaclip_2", "siglip")

_POOLED = "only enters the embedding of the whole image, not the classifier"
_RULES = (
    ("vision_model.embeddings.class_embedding", "cls_token", "reshape"),
    ("vision_model.embeddings.position_ids", "", "counts from zero"),
    ("vision_model.embeddings.position_embedding.weight", "pos_embed", "reshape"),
    ("vision_model.embeddings.patch_embedding.{tensor}", "patch_embed.proj.{tensor}", ""),
    ("vision_model.pre_layrnorm.{tensor}", "norm_pre.{tensor}", ""),
    *block_rules("vision_model.encoder.layers.{i}.", ("layer_norm1", "layer_norm2"), "self_attn", "out_proj"),
    ("classifier.{tensor}", "head.{tensor}", ""),
)
_CLIP_RULES = (("vision_model.post_layernorm.{tensor}", "", _POOLED), *_RULES)
_SIGLIP_RULES = (
    ("vision_model.post_layernorm.{tensor}", "norm.{tensor}", ""),
    ("vision_model.head.{tensor}", "", _POOLED),
    *_RULES,
)


def reuse(config: Any) -> Network:
    """Return TAO's ViT in the size of the image side of `config`."""
    return _network(TAO, config)


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of the image side of `config`, and the sizes of the papers."""
    if config.model_type == "siglip":
        variants = sizes(("base", 16, 768, 12, 12), ("large", 16, 1024, 24, 16))
    else:
        variants = sizes(
            ("base", 32, 768, 12, 12),
            ("base", 16, 768, 12, 12),
            ("large", 14, 1024, 24, 16),
            ("huge", 14, 1280, 32, 16),
        )
    return _network(TIMM, config, variants)


def _network(base: str, config: Any, variants: dict[str, dict[str, Any]] | None = None) -> Network:
    vision = config.vision_config
    siglip = config.model_type == "siglip"
    parts = {"class_token": False, "fc_norm": False} if siglip else {"pre_norm": True, "final_norm": False}
    act = vision.hidden_act
    return network(
        base,
        vision,
        _SIGLIP_RULES if siglip else _CLIP_RULES,
        prefix=0 if siglip else 1,
        spellings=(),
        variants=variants,
        qkv_bias=True,
        act_layer=activation(act),
        global_pool="avg",
        **parts,
    )
