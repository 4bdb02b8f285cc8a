"""SegFormer's encoder, the Mix Transformer, with a classification head."""

from __future__ import annotations

from typing import Any

from families.mix import mix_transformer, pyramid_transformer
from families.network import Network

MODEL_TYPES = ("segformer",)

_NORM_EPS = 1e-5  # whatever the configuration says

_NAMES = {
    "stage": "segformer.stages.{i}.",
    "embed": "patch_embeddings.",
    "norm1": "layernorm_before.",
    "query": "attention.q_proj.",
    "key": "attention.k_proj.",
    "value": "attention.v_proj.",
    "reduction": "attention.sequence_reduction.sequence_reduction.",
    "reduction_norm": "attention.sequence_reduction.layer_norm.",
    "output": "attention.o_proj.",
    "norm2": "layernorm_after.",
    "fc1": "mlp.fc1.",
    "fc2": "mlp.fc2.",
}

# transformers 5.24 put the parts of a stage together; checkpoints and transformers 4 have a list for each kind of part.
SPELLINGS = (
    (r"\.encoder\.block\.(\d+)\.", r".stages.\1.blocks."),
    (r"\.encoder\.(patch_embeddings|layer_norm)\.(\d+)\.", r".stages.\2.\1."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
)


def reuse(config: Any) -> Network:
    """Return TAO's MixTransformer in the size of `config`."""
    return mix_transformer(config, _NAMES, eps=_NORM_EPS, qkv_bias=True, spellings=SPELLINGS)


def timm(config: Any) -> Network:
    """Return timm's PVT v2, which is the same network, in the size of `config`."""
    return pyramid_transformer(config, _NAMES, eps=_NORM_EPS, qkv_bias=True, spellings=SPELLINGS)
