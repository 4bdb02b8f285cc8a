"""I-JEPA's encoder: a ViT without a class token, whose patches are averaged."""

from __future__ import annotations

from typing import Any

from families.network import Network
from families.vit_rules import TAO, TIMM, mlp_ratio, network, sizes, vit_rules

MODEL_TYPES = ("ijepa",)

_AVERAGED = {"class_token": False, "global_pool": "avg", "fc_norm": False}


def reuse(config: Any) -> Network:
    """Return TAO's ViT in the size of `config`."""
    return network(TAO, config, vit_rules("ijepa"), prefix=0, **_AVERAGED)


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of `config`, and the sizes of the paper."""
    variants = sizes(("huge", 14, 1280, 32, 16), ("huge", 16, 1280, 32, 16), ("giant", 16, 1408, 40, 16))
    variants["giant_patch16"]["mlp_ratio"] = mlp_ratio(1408, 6144)
    return network(TIMM, config, vit_rules("ijepa"), prefix=0, variants=variants, **_AVERAGED)
