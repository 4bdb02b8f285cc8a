"""DeiT: a ViT with a second token, which learns from a teacher; the class token classifies alone or with it."""

from __future__ import annotations

from typing import Any

from families.common import require
from families.network import Network
from families.vit_rules import TAO, TIMM, network, sizes, vit_rules

MODEL_TYPES = ("deit",)

_TOKEN = "deit.embeddings.distillation_token"  # noqa: S105 - the name of a tensor
_ONE_HEAD = ((_TOKEN, "reg_token", ""), *vit_rules("deit"))
_TWO_HEADS = (
    (_TOKEN, "dist_token", ""),
    ("cls_classifier.{tensor}", "head.{tensor}", ""),
    ("distillation_classifier.{tensor}", "head_dist.{tensor}", ""),
    *vit_rules("deit"),
)


def reuse(config: Any) -> Network:
    """Return TAO's ViT in the size of `config`, the distillation token as its register."""
    require(not _has_two_heads(config), "it averages the logits of two heads")
    return network(TAO, config, _ONE_HEAD, prefix=2, reg_tokens=1)


def timm(config: Any) -> Network:
    """Return timm's ViT or distilled ViT in the size of `config`, and the sizes of the paper."""
    variants = sizes(("tiny", 16, 192, 12, 3), ("small", 16, 384, 12, 6), ("base", 16, 768, 12, 12))
    if _has_two_heads(config):
        return network("timm.models.deit.VisionTransformerDistilled", config, _TWO_HEADS, prefix=2, variants=variants)
    return network(TIMM, config, _ONE_HEAD, prefix=2, variants=variants, reg_tokens=1)


def _has_two_heads(config: Any) -> bool:
    return "DeiTForImageClassificationWithTeacher" in (config.architectures or ())
