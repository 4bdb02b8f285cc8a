"""PoolFormer: timm's MetaFormer with average pooling."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from families.common import activation, require
from families.network import Name, Network

MODEL_TYPES = ("poolformer",)

RULES = (
    ("poolformer.encoder.patch_embeddings.0.projection.{tensor}", "stem.conv.{tensor}", ""),
    ("poolformer.encoder.patch_embeddings.{i}.projection.{tensor}", "stages.{i}.downsample.conv.{tensor}", ""),
    ("poolformer.encoder.block.{i}.{j}.before_norm.{tensor}", "stages.{i}.blocks.{j}.norm1.{tensor}", ""),
    ("poolformer.encoder.block.{i}.{j}.after_norm.{tensor}", "stages.{i}.blocks.{j}.norm2.{tensor}", ""),
    ("poolformer.encoder.block.{i}.{j}.output.conv{k}.{tensor}", "stages.{i}.blocks.{j}.mlp.fc{k}.{tensor}", ""),
    ("poolformer.encoder.block.{i}.{j}.layer_scale_{k}", "stages.{i}.blocks.{j}.layer_scale{k}.scale", ""),
    ("norm.{tensor}", "norm.{tensor}", ""),
    ("classifier.{tensor}", "head.fc.{tensor}", ""),
)

# The base class averages feature maps before it normalizes them.
_HEAD = """\
self.norm = self.get_submodule("head.norm")
self.head = ClassifierHead(self.num_features, num_classes)"""
_FORWARD = '''\
def forward_features(self, x):
    """Return the last feature maps, normalized as a whole.

    Args:
        x (torch.Tensor): Images of shape (B, C, H, W), normalized.
    """
    return self.norm(super().forward_features(x))

def forward_head(self, x, pre_logits=False):
    """Average feature maps and classify them.

    Args:
        x (torch.Tensor): Feature maps of shape (B, C, H, W).
        pre_logits (bool): Return what enters the last layer.

    Returns:
        torch.Tensor: Logits of shape (B, num_classes), or features of shape (B, C).
    """
    return self.head(x, pre_logits=pre_logits)'''


def timm(config: Any) -> Network:
    """Return timm's PoolFormer in the size of `config`, and the sizes of the paper."""
    require(config.num_encoder_blocks == len(config.depths), f"it has {config.num_encoder_blocks} stages")
    shapes = zip(config.patch_sizes, config.strides, config.padding, strict=True)
    require(list(shapes) == [(7, 4, 2), *[(3, 2, 1)] * (len(config.depths) - 1)], "its patches have other shapes")
    require(config.mlp_ratio == 4, f"its layers widen {config.mlp_ratio} times")
    require(all(one != other for one, other in pairwise(config.hidden_sizes)), "two of its stages are equally wide")
    norm = Name("timm.layers.GroupNorm1")
    return Network(
        base="timm.models.metaformer.MetaFormer",
        arguments={
            "depths": list(config.depths),
            "dims": list(config.hidden_sizes),
            "pool_size": config.pool_size,
            "mlp_act": activation(config.hidden_act),
            "mlp_bias": True,
            "layer_scale_init_values": float(config.layer_scale_init_value) if config.use_layer_scale else None,
            "res_scale_init_values": None,
            "downsample_norm": None,
            "norm_layers": norm,
            "output_norm": norm,
            "use_mlp_head": False,
            "drop_path_rate": float(config.drop_path_rate),
        },
        rules=RULES,
        imports=("from timm.layers import ClassifierHead",),
        setup=_HEAD,
        methods=_FORWARD,
        variants={
            name: {"depths": depths, "dims": dims, "layer_scale_init_values": scale}
            for name, depths, dims, scale in (
                ("s12", [2, 2, 6, 2], [64, 128, 320, 512], 1e-5),
                ("s24", [4, 4, 12, 4], [64, 128, 320, 512], 1e-5),
                ("s36", [6, 6, 18, 6], [64, 128, 320, 512], 1e-6),
                ("m36", [6, 6, 18, 6], [96, 192, 384, 768], 1e-6),
                ("m48", [8, 8, 24, 8], [96, 192, 384, 768], 1e-6),
            )
        },
    )
