"""ResNet: timm's, which TAO's own extends."""

from __future__ import annotations

from typing import Any

from families.common import activation, require
from families.network import Name, Network

MODEL_TYPES = ("resnet",)

_BLOCK = "resnet.encoder.stages.{i}.layers.{j}."
RULES = (
    ("resnet.embedder.embedder.convolution.{tensor}", "conv1.{tensor}", ""),
    ("resnet.embedder.embedder.normalization.{tensor}", "bn1.{tensor}", ""),
    (f"{_BLOCK}layer.{{k}}.convolution.{{tensor}}", "layer{i+1}.{j}.conv{k+1}.{tensor}", ""),
    (f"{_BLOCK}layer.{{k}}.normalization.{{tensor}}", "layer{i+1}.{j}.bn{k+1}.{tensor}", ""),
    (f"{_BLOCK}shortcut.convolution.{{tensor}}", "layer{i+1}.{j}.downsample.0.{tensor}", ""),
    (f"{_BLOCK}shortcut.normalization.{{tensor}}", "layer{i+1}.{j}.downsample.1.{tensor}", ""),
    ("classifier.1.{tensor}", "fc.{tensor}", ""),
)

# Published as "v1"; the base class has it the other way round ("v1.5").
_HALVE_IN_FIRST = """\
# A stage's first convolution halves the resolution, not its second.
for block in (self.layer2[0], self.layer3[0], self.layer4[0]):
    block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride"""

_STAGES = 4
_STEM = 64  # channels; fixed in the base class
_EXPANSION = 4  # of a bottleneck


def reuse(config: Any) -> Network:
    """Return TAO's ResNet in the size of `config`."""
    return _network("nvidia_tao_pytorch.cv.backbone_v2.resnet.ResNet", config)


def timm(config: Any) -> Network:
    """Return timm's ResNet in the size of `config`, and the sizes of the paper."""
    sizes = {
        name: {**_block(layer_type), "layers": layers, "channels": [64, 128, 256, 512]}
        for name, layer_type, layers in (
            ("18", "basic", [2, 2, 2, 2]),
            ("34", "basic", [3, 4, 6, 3]),
            ("50", "bottleneck", [3, 4, 6, 3]),
            ("101", "bottleneck", [3, 4, 23, 3]),
            ("152", "bottleneck", [3, 8, 36, 3]),
        )
        if layer_type == config.layer_type
    }
    return _network("timm.models.resnet.ResNet", config, sizes)


def _network(base: str, config: Any, variants: dict[str, dict[str, Any]] | None = None) -> Network:
    require(len(config.depths) == len(config.hidden_sizes) == _STAGES, f"it does not have {_STAGES} stages")
    require(config.embedding_size == _STEM, f"its stem has {config.embedding_size} channels, not {_STEM}")
    require(not config.downsample_in_first_stage, "its first stage halves the resolution too")
    require(config.hidden_act == "relu", f"it has ReLU inside its blocks and {config.hidden_act} after them")
    bottleneck = config.layer_type == "bottleneck"
    expansion = _EXPANSION if bottleneck else 1
    require(not any(width % expansion for width in config.hidden_sizes), f"a width is not a multiple of {_EXPANSION}")
    return Network(
        base=base,
        arguments={
            **_block(config.layer_type),
            "layers": list(config.depths),
            "channels": [width // expansion for width in config.hidden_sizes],
            "act_layer": activation(config.hidden_act),
        },
        rules=RULES,
        setup=_HALVE_IN_FIRST if bottleneck and config.downsample_in_bottleneck else "",
        variants=variants or {},
    )


def _block(layer_type: str) -> dict[str, Any]:
    return {"block": Name(f"timm.models.resnet.{'Bottleneck' if layer_type == 'bottleneck' else 'BasicBlock'}")}
