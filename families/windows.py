"""What the Swin architectures share: the names of the tensors in their blocks."""

from __future__ import annotations

from families.common import joined

# transformers 5.24 renamed the parts of Swin's blocks; checkpoints, transformers 4 and the related architectures have
# the older names.
SPELLINGS = (
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.relative_position_", ".attention.relative_position_bias.relative_position_"),
    (r"\.attention\.self\.", ".attention."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


def attention_rules(prefix: str) -> tuple[tuple[str, str, str], ...]:
    """Return the rules of the blocks, which TAO and timm name alike.

    Args:
        prefix: how the tensors of the Hugging Face model begin.
    """
    block = f"{prefix}.encoder.layers.{{i}}.blocks.{{j}}."
    target = "layers.{i}.blocks.{j}."
    bias = f"{block}attention.relative_position_bias.relative_position_"
    return (
        (f"{block}layernorm_before.{{tensor}}", f"{target}norm1.{{tensor}}", ""),
        (
            joined(f"{block}attention.", ("q_proj", "k_proj", "v_proj"), ".{tensor}"),
            f"{target}attn.qkv.{{tensor}}",
            "",
        ),
        (f"{block}attention.o_proj.{{tensor}}", f"{target}attn.proj.{{tensor}}", ""),
        (f"{bias}bias_table", f"{target}attn.relative_position_bias_table", ""),
        (f"{bias}index", "", "computed from the window size"),
        (f"{block}layernorm_after.{{tensor}}", f"{target}norm2.{{tensor}}", ""),
        (f"{block}mlp.{{tensor}}", f"{target}mlp.{{tensor}}", ""),
    )
