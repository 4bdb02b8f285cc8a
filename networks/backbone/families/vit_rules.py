"""What vision transformers share: timm's VisionTransformer, which TAO's own extends, and the names of its tensors."""

from __future__ import annotations

import math
from typing import Any

from families.common import ENCODER_SPELLINGS, activation, joined, layer_norm, pair, require
from families.network import Network

TAO = "nvidia_tao_pytorch.cv.backbone_v2.vit.VisionTransformer"
TIMM = "timm.models.vision_transformer.VisionTransformer"


def network(
    base: str,
    config: Any,
    rules: tuple[tuple[str, str, str], ...],
    *,
    prefix: int = 1,
    antialias: bool = False,
    spellings: tuple[tuple[str, str], ...] = ENCODER_SPELLINGS,
    variants: dict[str, dict[str, Any]] | None = None,
    **differing: Any,
) -> Network:
    """Return a VisionTransformer in the size of `config`.

    Args:
        base: the class.
        config: the configuration of the transformer; of a model with several parts, that of its vision part.
        rules: the conversion rules.
        prefix: tokens before those of the patches that have position embeddings.
        antialias: whether transformers smooths position embeddings that it interpolates to fewer.
        spellings: see `Network`.
        variants: see `Network`.
        **differing: arguments of the class that ViT does not need, or that differ from ViT's.
    """
    arguments = {
        "patch_size": config.patch_size,
        "embed_dim": config.hidden_size,
        "depth": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        **differing,
    }
    # What not every configuration has by these names is only read where `differing` does not give it.
    if "mlp_ratio" not in arguments:
        arguments["mlp_ratio"] = mlp_ratio(config.hidden_size, config.intermediate_size)
    if "qkv_bias" not in arguments:
        arguments["qkv_bias"] = config.qkv_bias
    if "act_layer" not in arguments:
        arguments["act_layer"] = activation(config.hidden_act)
    return Network(
        base=base,
        arguments={**arguments, "norm_layer": layer_norm(config.layer_norm_eps)},
        rules=rules,
        spellings=spellings,
        sized=True,
        positions=positions(config, prefix, antialias),
        variants=variants or {},
    )


def positions(config: Any, prefix: int, antialias: bool = False) -> dict[str, dict[str, Any]]:
    """Return how the position embeddings follow the image size; see `network`."""
    (height, width), (rows, columns) = pair(config.image_size), pair(config.patch_size)
    require(rows == columns, "its patches are not square, and a feature map has one stride")
    native = [height // rows, width // columns]
    return {"pos_embed": {"prefix": prefix, "native": native, "mode": "bicubic", "antialias": antialias}}


def sizes(*rows: tuple[str, int, int, int, int]) -> dict[str, dict[str, Any]]:
    """Return variants from rows of name, patch size, width, depth and number of heads."""
    return {
        f"{name}_patch{patch}": {
            "patch_size": patch,
            "embed_dim": width,
            "depth": depth,
            "num_heads": heads,
            "mlp_ratio": 4.0,
        }
        for name, patch, width, depth, heads in rows
    }


def mlp_ratio(width: int, hidden: int) -> float:
    """Return the ratio that gives `hidden` features where the class rounds its product with `width` down."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


def vit_rules(prefix: str) -> tuple[tuple[str, str, str], ...]:
    """Return the rules of the architectures that name their tensors as ViT does.

    Args:
        prefix: how the tensors of the Hugging Face model begin, the classifier's aside.
    """
    return (
        *embedding_rules(prefix),
        *block_rules(f"{prefix}.layers.{{i}}.", ("layernorm_before", "layernorm_after")),
        (f"{prefix}.layernorm.{{tensor}}", "norm.{tensor}", ""),
        ("classifier.{tensor}", "head.{tensor}", ""),
    )


def embedding_rules(prefix: str) -> tuple[tuple[str, str, str], ...]:
    """Return the rules of the tensors before the blocks; the class token is not in all architectures."""
    return (
        (f"{prefix}.embeddings.cls_token", "cls_token", ""),
        (f"{prefix}.embeddings.position_embeddings", "pos_embed", ""),
        (f"{prefix}.embeddings.patch_embeddings.projection.{{tensor}}", "patch_embed.proj.{tensor}", ""),
    )


def block_rules(
    block: str, norms: tuple[str, str], attention: str = "attention", output: str = "o_proj"
) -> tuple[tuple[str, str, str], ...]:
    """Return the rules of the blocks.

    Args:
        block: how the tensors of block {i} begin.
        norms: names of the norms before the attention and before the MLP.
        attention: name of the attention.
        output: name of its last layer.
    """
    queries = joined(f"{block}{attention}.", ("q_proj", "k_proj", "v_proj"), ".{tensor}")
    return (
        (f"{block}{norms[0]}.{{tensor}}", "blocks.{i}.norm1.{tensor}", ""),
        (queries, "blocks.{i}.attn.qkv.{tensor}", ""),
        (f"{block}{attention}.{output}.{{tensor}}", "blocks.{i}.attn.proj.{tensor}", ""),
        (f"{block}{norms[1]}.{{tensor}}", "blocks.{i}.norm2.{tensor}", ""),
        (f"{block}mlp.{{tensor}}", "blocks.{i}.mlp.{tensor}", ""),
    )
