"""DINOv2, with and without registers: TAO's DINOV2 and timm's ViT, the head on the class token beside the patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from families.common import activation, pair, require
from families.network import Name, Network
from families.vit_rules import TIMM, block_rules, embedding_rules, mlp_ratio, network, sizes

MODEL_TYPES = ("dinov2", "dinov2_with_registers")

_SETUP = """\
self.head_hidden_size = 2 * self.embed_dim
self.head = nn.Linear(self.head_hidden_size, num_classes)"""
_METHODS = '''\
def pool(self, x, pool_type=None):
    """Return the class token and the mean of the patches, one after the other."""
    return torch.cat([x[:, 0], x[:, -self.patch_embed.num_patches:].mean(dim=1)], dim=1)'''

# Registers have no position embeddings. TAO's DINOV2 has them after the patches; before them, patches are the last
# tokens in both.
_TAO_REGISTERS_SETUP = """
self.num_prefix_tokens = 1 + self.num_reg_tokens"""
_TIMM_REGISTERS_SETUP = """
self.pos_embed = nn.Parameter(self.pos_embed[:, self.num_reg_tokens:].detach().clone())"""
_REGISTERS_METHODS = '''

def _pos_embed(self, x):
    """Add position embeddings to the class token and the patches, then put the registers between them."""
    x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
    return self.pos_drop(torch.cat([x[:, :1], self.reg_token.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1))'''


def reuse(config: Any) -> Network:
    """Return TAO's DINOV2 in the size of `config`."""
    return _network("nvidia_tao_pytorch.cv.backbone_v2.dino_v2.DINOV2", config, _TAO_REGISTERS_SETUP)


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of `config`, and the sizes of the paper."""
    variants = sizes(
        ("small", 14, 384, 12, 6), ("base", 14, 768, 12, 12), ("large", 14, 1024, 24, 16), ("giant", 14, 1536, 40, 24)
    )
    for name, arguments in variants.items():
        arguments.update(_mlp(arguments["embed_dim"], 4, name.startswith("giant"), "gelu"))
    return _network(TIMM, config, _TIMM_REGISTERS_SETUP, variants)


def _network(
    base: str, config: Any, registers_setup: str, variants: dict[str, dict[str, Any]] | None = None
) -> Network:
    height, width = pair(config.image_size)
    registers = getattr(config, "num_register_tokens", 0)
    require(height == width, "transformers stretches the position embeddings of images that are not square")
    prefix, block = config.model_type, f"{config.model_type}.layers.{{i}}."
    rules = (
        *embedding_rules(prefix),
        (f"{prefix}.embeddings.register_tokens", *(("reg_token", "") if registers else ("", "there are none"))),
        (f"{prefix}.embeddings.mask_token", "", "stands for hidden patches in pretraining"),
        *((f"{block}layer_scale{which}.lambda1", f"blocks.{{i}}.ls{which}.gamma", "") for which in (1, 2)),
        # transformers 4 and checkpoints have the two halves of a gated MLP's first layer in one, as the target has.
        (f"{block}mlp.weights_in.{{tensor}}", "blocks.{i}.mlp.fc1.{tensor}", ""),
        (f"{block}mlp.weights_out.{{tensor}}", "blocks.{i}.mlp.fc2.{tensor}", ""),
        (f"{block}mlp.gate_proj.{{tensor}} + {block}mlp.up_proj.{{tensor}}", "blocks.{i}.mlp.fc1.{tensor}", ""),
        (f"{block}mlp.down_proj.{{tensor}}", "blocks.{i}.mlp.fc2.{tensor}", ""),
        *block_rules(block, ("norm1", "norm2")),
        (f"{prefix}.layernorm.{{tensor}}", "norm.{tensor}", ""),
        ("classifier.{tensor}", "head.{tensor}", ""),
    )
    arguments = _mlp(config.hidden_size, config.mlp_ratio, config.use_swiglu_ffn, config.hidden_act)
    arguments |= {"reg_tokens": registers} if registers else {}
    arguments["init_values"] = float(config.layerscale_value) or 1e-5  # with zero, the class leaves out layer scales
    smooth = prefix == "dinov2_with_registers"
    return replace(
        network(base, config, rules, antialias=smooth, variants=variants, **arguments),
        imports=("import torch",),
        setup=_SETUP + registers_setup * bool(registers),
        methods=_METHODS + _REGISTERS_METHODS * bool(registers),
    )


def _mlp(width: int, ratio: float, gated: bool, hidden_act: str) -> dict[str, Any]:
    hidden = int(width * ratio)
    if not gated:
        return {
            "mlp_ratio": mlp_ratio(width, hidden),
            "mlp_layer": Name("timm.layers.Mlp"),
            "act_layer": activation(hidden_act),
        }
    halved = (int(hidden * 2 / 3) + 7) // 8 * 8
    return {
        "mlp_ratio": mlp_ratio(width, 2 * halved),
        "mlp_layer": Name("timm.layers.SwiGLUPacked"),
        "act_layer": Name("torch.nn.SiLU"),
    }
