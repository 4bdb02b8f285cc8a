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
_POOL = '''\
def pool(self, x, pool_type=None):
    """Return the class token and the mean of the patches, one after the other."""
    return torch.cat([x[:, 0], x[:, {patches}].mean(dim=1)], dim=1)'''

# Registers have no position embeddings: the base class has some for them.
_REGISTERS_SETUP = """
self.pos_embed = nn.Parameter(self.pos_embed[:, self.num_reg_tokens:].detach().clone())"""
_REGISTERS = '''

def _pos_embed(self, x):
    """Add position embeddings to the class token and the patches, then put the registers between them."""
    x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
    return self.pos_drop(torch.cat([x[:, :1], self.reg_token.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1))'''


def reuse(config: Any) -> Network:
    """Return TAO's DINOV2 in the size of `config`; it has the registers after the patches."""
    found = _network("nvidia_tao_pytorch.cv.backbone_v2.dino_v2.DINOV2", config)
    return replace(found, setup=_SETUP, methods=_POOL.format(patches="1:1 + self.patch_embed.num_patches"))


def timm(config: Any) -> Network:
    """Return timm's ViT in the size of `config`, and the sizes of the paper."""
    variants = sizes(
        ("small", 14, 384, 12, 6), ("base", 14, 768, 12, 12), ("large", 14, 1024, 24, 16), ("giant", 14, 1536, 40, 24)
    )
    for name, arguments in variants.items():
        arguments.update(_mlp(arguments["embed_dim"], 4, name.startswith("giant"), "gelu"))
    registers = bool(_registers(config))
    return replace(
        _network(TIMM, config, variants),
        setup=_SETUP + _REGISTERS_SETUP * registers,
        methods=_POOL.format(patches="self.num_prefix_tokens:") + _REGISTERS * registers,
    )


def _network(base: str, config: Any, variants: dict[str, dict[str, Any]] | None = None) -> Network:
    height, width = pair(config.image_size)
    require(height == width, "transformers stretches the position embeddings of images that are not square")
    prefix, block = config.model_type, f"{config.model_type}.layers.{{i}}."
    rules = (
        *embedding_rules(prefix),
        (f"{prefix}.embeddings.register_tokens", "reg_token", ""),
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
    arguments |= {"reg_tokens": _registers(config)} if _registers(config) else {}
    found = network(base, config, rules, variants=variants, init_values=float(config.layerscale_value), **arguments)
    if config.model_type == "dinov2_with_registers":
        found.positions["pos_embed"]["antialias"] = True
    return replace(found, imports=("import torch",))


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


def _registers(config: Any) -> int:
    return getattr(config, "num_register_tokens", 0)
