"""LeViT, with one head or two whose outputs are averaged: timm's."""

from __future__ import annotations

from typing import Any

from families.common import pair, require
from families.network import Name, Network

MODEL_TYPES = ("levit",)

_STEM = {"kernel_size": 3, "stride": 2, "padding": 1}
_PATCH = 16  # pixels; what the stem's four convolutions come to
_DOWN = (4, 2)  # between two stages: ratio of the attention's values, and of the MLP
_SIZES = (
    ("128s", [128, 256, 384], 16, [4, 6, 8], [2, 3, 4]),
    ("128", [128, 256, 384], 16, [4, 8, 12], [4, 4, 4]),
    ("192", [192, 288, 384], 32, [3, 5, 6], [4, 4, 4]),
    ("256", [256, 384, 512], 32, [4, 6, 8], [4, 4, 4]),
    ("384", [384, 512, 768], 32, [6, 9, 12], [4, 4, 4]),
)


def timm(config: Any) -> Network:
    """Return timm's LeViT in the size of `config`, and the sizes of the paper."""
    for name, value in _STEM.items():
        require(getattr(config, name) == value, f"its stem has {name} {getattr(config, name)}, not {value}")
    require(pair(config.patch_size) == [_PATCH, _PATCH], f"its patches are not of {_PATCH}x{_PATCH} pixels")
    key = config.key_dim[0]
    require(all(size == key for size in config.key_dim), "its stages have keys of different sizes")
    require(all(ratio > 0 for ratio in config.mlp_ratio), "it has stages without MLPs")
    downs = [["Subsample", key, width // key, *_DOWN, 2] for width in config.hidden_sizes[:-1]]
    require([list(down) for down in config.down_ops if list(down) != [""]] == downs, "it is subsampled in its own way")
    teacher = "LevitForImageClassificationWithTeacher" in (config.architectures or ())
    heads = (("classifier.{tensor}", "head.{tensor}", ""),)
    if teacher:
        heads += (("classifier_distill.{tensor}", "head_dist.{tensor}", ""),)
    return Network(
        base=f"timm.models.levit.{'LevitDistilled' if teacher else 'Levit'}",
        arguments={
            "embed_dim": list(config.hidden_sizes),
            "key_dim": key,
            "depth": list(config.depths),
            "num_heads": list(config.num_attention_heads),
            "attn_ratio": [float(ratio) for ratio in config.attention_ratio],
            "mlp_ratio": [float(ratio) for ratio in config.mlp_ratio],
            "act_layer": Name("torch.nn.Hardswish"),
            "drop_path_rate": float(config.drop_path_rate),
        },
        rules=(*_rules(), *heads),
        spellings=_spellings(config.depths),
        sized=True,
        variants={
            name: {"embed_dim": widths, "key_dim": keys, "num_heads": heads, "depth": depths}
            for name, widths, keys, heads, depths in _SIZES
        },
    )


def _rules() -> tuple[tuple[str, str, str], ...]:
    blocks, down = "stages.{i}.blocks.{j}.", "stages.{i+1}.downsample."
    return (
        (
            "levit.patch_embeddings.embedding_layer_{i}.convolution.{tensor}",
            "stem.conv{i}.linear.{tensor}",
            "",
        ),
        ("levit.patch_embeddings.embedding_layer_{i}.bn.{tensor}", "stem.conv{i}.bn.{tensor}", ""),
        ("{tensor}.attention_bias_idxs", "", "computed from the image size"),
        (f"{blocks}attn.attention_biases", f"{blocks}attn.attention_biases", ""),
        (f"{blocks}attn.queries_keys_values.{{tensor}}", f"{blocks}attn.qkv.{{tensor}}", ""),
        (f"{blocks}attn.projection.{{tensor}}", f"{blocks}attn.proj.ln.{{tensor}}", ""),
        (f"{blocks}mlp.linear_up.{{tensor}}", f"{blocks}mlp.ln1.{{tensor}}", ""),
        (f"{blocks}mlp.linear_down.{{tensor}}", f"{blocks}mlp.ln2.{{tensor}}", ""),
        ("stages.{i}.down.attention_biases", f"{down}attn_downsample.attention_biases", ""),
        ("stages.{i}.down.keys_values.{tensor}", f"{down}attn_downsample.kv.{{tensor}}", ""),
        ("stages.{i}.down.queries.{tensor}", f"{down}attn_downsample.q.ln.{{tensor}}", ""),
        ("stages.{i}.down.projection.{tensor}", f"{down}attn_downsample.proj.ln.{{tensor}}", ""),
        ("stages.{i}.down_mlp.linear_up.{tensor}", f"{down}mlp.ln1.{{tensor}}", ""),
        ("stages.{i}.down_mlp.linear_down.{tensor}", f"{down}mlp.ln2.{{tensor}}", ""),
    )


def _spellings(depths: list[int]) -> tuple[tuple[str, str], ...]:
    """Return spellings that name what the checkpoint numbers: attention and MLP by turns, then the subsampling."""
    stages = r"^levit\.encoder\.stages"
    found = [(r"\.batch_norm\.", ".bn.")]
    for stage, depth in enumerate(depths[:-1]):
        found.append((rf"{stages}\.{stage}\.layers\.{2 * depth}\.", f"stages.{stage}.down."))
        found.append((rf"{stages}\.{stage}\.layers\.{2 * depth + 1}\.module\.", f"stages.{stage}.down_mlp."))
    for block in range(max(depths)):
        found.append((rf"{stages}\.(\d+)\.layers\.{2 * block}\.module\.", rf"stages.\1.blocks.{block}.attn."))
        found.append((rf"{stages}\.(\d+)\.layers\.{2 * block + 1}\.module\.", rf"stages.\1.blocks.{block}.mlp."))
    return tuple(found)
