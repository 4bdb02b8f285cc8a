"""What transformers wraps of timm, and timm's own checkpoints: timm's class, or TAO's that extends it, itself.

The proof asked timm what it builds the architecture from; the configuration records that as ``built``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from families.common import require
from families.network import Call, Name, Network

MODEL_TYPES = ("timm_wrapper",)

TAO = {
    "timm.models.hiera.Hiera": "nvidia_tao_pytorch.cv.backbone_v2.hiera.Hiera",
    "timm.models.resnet.ResNet": "nvidia_tao_pytorch.cv.backbone_v2.resnet.ResNet",
    "timm.models.vision_transformer.VisionTransformer": "nvidia_tao_pytorch.cv.backbone_v2.vit.VisionTransformer",
}
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def reuse(config: Any) -> Network:
    """Return TAO's class that extends the one timm builds the architecture from."""
    network = timm(config)
    require(network.base in TAO, f"TAO does not extend {network.base}")
    return replace(network, base=TAO[network.base])


def timm(config: Any) -> Network:
    """Return the class that timm builds the architecture from, and the arguments."""
    built = config.built
    return Network(
        base=_path(built["class"]),
        arguments=_values(built["arguments"]),
        rules=(("{tensor}", "{tensor}", ""),),
        spellings=((r"^timm_model\.", ""),),
        sized=built["sized"],
    )


def _values(pairs: list[list[Any]]) -> dict[str, Any]:
    """Return arguments from recorded pairs; their names become Python's."""
    for name, _ in pairs:
        require(name.isidentifier(), "its arguments have names that Python has not")
    return {name: _value(value) for name, value in pairs}


def _value(value: Any) -> Any:
    """Return what a recorded value describes."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "object" in value:
        return Name(_path(value["object"]))
    if "mapping" in value:
        return {name: _value(item) for name, item in value["mapping"]}
    return Call(_path(value["made_by"]), tuple(map(_value, value["args"])), _values(value["kwargs"]))


def _path(text: str) -> str:
    require(_DOTTED.fullmatch(text) is not None, "timm builds it from something that cannot be imported")
    return text
