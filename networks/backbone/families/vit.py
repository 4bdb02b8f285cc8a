"""ViT, and ViT MSN, the same network trained in another way: timm's VisionTransformer, which TAO's own extends."""

from __future__ import annotations

from typing import Any

from families.network import Network
from families.vit_rules import TAO, TIMM, network, sizes, vit_rules

MODEL_TYPES = ("vit", "vit_msn")


def reuse(config: Any) -> Network:
    """Return TAO's ViT in the size of `config`."""
    return network(TAO, config, vit_rules("vit"))


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of `config`, and the sizes that the ViT papers know."""
    variants = sizes(
        ("tiny", 16, 192, 12, 3),
        ("small", 16, 384, 12, 6),
        ("base", 16, 768, 12, 12),
        ("base", 32, 768, 12, 12),
        ("large", 16, 1024, 24, 16),
        ("huge", 14, 1280, 32, 16),
    )
    return network(TIMM, config, vit_rules("vit"), variants=variants)
