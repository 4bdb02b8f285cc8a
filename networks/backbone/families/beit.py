"""BEiT, and data2vec's vision model, which is the same network trained in another way: timm's Beit."""

from __future__ import annotations

from typing import Any

from families.common import ENCODER_SPELLINGS, layer_norm, pair, require
from families.network import Network
from families.vit_rules import block_rules, embedding_rules, mlp_ratio, positions, sizes

MODEL_TYPES = ("beit", "data2vec-vision")

# transformers 5.24 moved BEiT's relative position biases out of the attention and of the encoder.
_SPELLINGS = (
    (r"\.attention\.attention\.relative_position_bias\.", ".relative_position_bias."),
    (r"\.encoder\.relative_position_bias\.", ".shared_position_bias."),
    *ENCODER_SPELLINGS,
)

_ADAPT = '''\
def adapt_state_dict(self, state_dict):
    """Return weights for this image size: relative position biases of another size are interpolated.

    Args:
        state_dict (dict[str, torch.Tensor]): Weights of the native size, whose sides are equal, or of this one.
    """
    own, adapted = self.state_dict(), dict(state_dict)
    for name, table in state_dict.items():
        if name.endswith("relative_position_bias_table") and table.shape != own[name].shape:
            # The last three rows are those of the class token; the others are a square of distances.
            side = math.isqrt(len(table) - 3)
            image = nn.functional.interpolate(
                table[:-3].T.unflatten(1, [side, side])[None],
                size=[2 * length - 1 for length in self.patch_embed.grid_size],
                mode="bilinear",
                align_corners=False,
            )
            adapted[name] = torch.cat([image[0].flatten(1).T, table[-3:]])
    return adapted'''


def timm(config: Any) -> Network:
    """Return timm's Beit in the size of `config`, and the sizes of the paper."""
    height, width = pair(config.image_size)
    embeddings = positions(config, prefix=1)
    relative = config.use_relative_position_bias or config.use_shared_relative_position_bias
    require(config.hidden_act == "gelu", f"it uses the activation {config.hidden_act}")
    require(height == width, "transformers stretches the positions of images that are not square")
    arguments = {
        "patch_size": config.patch_size,
        "embed_dim": config.hidden_size,
        "depth": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "mlp_ratio": mlp_ratio(config.hidden_size, config.intermediate_size),
        "norm_layer": layer_norm(config.layer_norm_eps),
        "init_values": float(config.layer_scale_init_value) if config.layer_scale_init_value > 0 else None,
        "drop_path_rate": float(config.drop_path_rate),
        "global_pool": "avg" if config.use_mean_pooling else "token",
        "use_abs_pos_emb": config.use_absolute_position_embeddings,
        "use_rel_pos_bias": config.use_relative_position_bias,
        "use_shared_rel_pos_bias": config.use_shared_relative_position_bias,
    }
    variants = sizes(("base", 16, 768, 12, 12), ("large", 16, 1024, 24, 16))
    if arguments["init_values"]:
        variants["base_patch16"]["init_values"], variants["large_patch16"]["init_values"] = 0.1, 1e-5
    return Network(
        base="timm.models.beit.Beit",
        arguments=arguments,
        rules=_rules(config.model_type.replace("-", "_")),
        spellings=_SPELLINGS,
        sized=True,
        positions=embeddings if config.use_absolute_position_embeddings and not relative else {},
        imports=("import math", "import torch") if relative else (),
        methods=_ADAPT if relative else "",
        variants=variants,
    )


def _rules(prefix: str) -> tuple[tuple[str, str, str], ...]:
    block = f"{prefix}.layers.{{i}}."
    attention = f"{block}attention."
    bias = "relative_position_bias_table"
    return (
        *embedding_rules(prefix),
        (f"{prefix}.embeddings.mask_token", "", "stands for hidden patches in pretraining"),
        (f"{prefix}.shared_position_bias.relative_position_index", "", "computed from the image size"),
        (f"{prefix}.shared_position_bias.{bias}", f"rel_pos_bias.{bias}", ""),
        (f"{block}relative_position_bias.relative_position_index", "", "computed from the image size"),
        (f"{block}relative_position_bias.{bias}", f"blocks.{{i}}.attn.{bias}", ""),
        (f"{attention}q_proj.bias", "blocks.{i}.attn.q_bias", ""),
        (f"{attention}v_proj.bias", "blocks.{i}.attn.v_bias", ""),
        *((f"{block}lambda_{which}", f"blocks.{{i}}.gamma_{which}", "") for which in (1, 2)),
        *block_rules(block, ("layernorm_before", "layernorm_after")),
        (f"{prefix}.layernorm.{{tensor}}", "norm.{tensor}", ""),
        (f"{prefix}.pooler.layernorm.{{tensor}}", "fc_norm.{tensor}", ""),
        ("classifier.{tensor}", "head.{tensor}", ""),
    )
