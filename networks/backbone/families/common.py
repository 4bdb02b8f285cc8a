"""What several families share: arguments that mean the same everywhere, and names that many architectures use."""

from __future__ import annotations

from typing import Any

from families.network import Call, Name, NotTheSame

# transformers 5.24 renamed the parts of its transformer encoders; checkpoints and transformers 4 have the older names.
ENCODER_SPELLINGS = (
    (r"\.encoder\.layer\.", ".layers."),
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)
_ACTIVATIONS = {
    "gelu": "torch.nn.GELU",
    "gelu_pytorch_tanh": "timm.layers.GELUTanh",
    "quick_gelu": "timm.layers.QuickGELU",
    "relu": "torch.nn.ReLU",
    "silu": "torch.nn.SiLU",
    "swish": "torch.nn.SiLU",
    "hard_swish": "torch.nn.Hardswish",
    "hardswish": "torch.nn.Hardswish",
    "relu6": "torch.nn.ReLU6",
}


def activation(name: Any) -> Name:
    """Return the module class of an activation.

    Raises:
        NotTheSame: transformers computes it in a way of its own.
    """
    if name not in _ACTIVATIONS:
        raise NotTheSame(f"it uses the activation {name}")
    return Name(_ACTIVATIONS[name])


def layer_norm(eps: float) -> Call:
    """Return a maker of layer norms with that epsilon."""
    return Call("functools.partial", (Name("torch.nn.LayerNorm"),), {"eps": float(eps)})


def pair(value: Any) -> list[int]:
    """Return height and width, from one number or two."""
    return [int(value), int(value)] if isinstance(value, int) else [int(side) for side in value]


def require(true: bool, why: str) -> None:
    """Raise `NotTheSame` with the reason unless `true`."""
    if not true:
        raise NotTheSame(why)


def joined(prefix: str, parts: tuple[str, ...], suffix: str) -> str:
    """Return the names of tensors that one tensor of the target holds one after the other."""
    return " + ".join(f"{prefix}{part}{suffix}" for part in parts)
