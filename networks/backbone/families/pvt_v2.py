"""PVT v2."""

from __future__ import annotations

from typing import Any

from families.common import require
from families.mix import mix_transformer, pyramid_transformer
from families.network import Network

MODEL_TYPES = ("pvt_v2",)

_NAMES = {
    "stage": "pvt_v2.encoder.layers.{i}.",
    "embed": "patch_embedding.",
    "norm1": "layer_norm_1.",
    "query": "attention.query.",
    "key": "attention.key.",
    "value": "attention.value.",
    "reduction": "attention.spatial_reduction.",
    "reduction_norm": "attention.layer_norm.",
    "output": "attention.proj.",
    "norm2": "layer_norm_2.",
    "fc1": "mlp.dense1.",
    "fc2": "mlp.dense2.",
}


def reuse(config: Any) -> Network:
    """Return TAO's MixTransformer, which is the same network, in the size of `config`."""
    require(not config.linear_attention, "it has linear attention")
    return mix_transformer(config, _NAMES, eps=config.layer_norm_eps, qkv_bias=config.qkv_bias)


def timm(config: Any) -> Network:
    """Return timm's PVT v2 in the size of `config`."""
    return pyramid_transformer(
        config,
        _NAMES,
        eps=config.layer_norm_eps,
        qkv_bias=config.qkv_bias,
        arguments={"linear": config.linear_attention},
    )
