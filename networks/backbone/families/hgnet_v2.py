"""HGNetV2: timm's HighPerfGpuNet, without the convolution before the classifier."""

from __future__ import annotations

from typing import Any

from families.common import require
from families.network import Network

MODEL_TYPES = ("hgnet_v2",)

_STAGES = 4
_STEM_STRIDES = [2, 1, 1, 2, 1]
_STRIDE = 2  # of a stage that lowers the resolution
_COMMON = ((False, False, 3), (True, False, 3), (True, True, 5), (True, True, 5))  # lowers, light blocks, kernel
_SIZES = (  # stem, then of each stage: inner width, width, number of blocks; layers of a block
    ("b0", [16, 16], (16, 32, 64, 128), (64, 256, 512, 1024), (1, 1, 2, 1), 3),
    ("b1", [24, 32], (32, 48, 96, 192), (64, 256, 512, 1024), (1, 1, 2, 1), 3),
    ("b2", [24, 32], (32, 64, 128, 256), (96, 384, 768, 1536), (1, 1, 3, 1), 4),
    ("b3", [24, 32], (32, 64, 128, 256), (128, 512, 1024, 2048), (1, 1, 3, 1), 5),
    ("b4", [32, 48], (48, 96, 192, 384), (128, 512, 1024, 2048), (1, 1, 3, 1), 6),
    ("b5", [32, 64], (64, 128, 256, 512), (128, 512, 1024, 2048), (1, 2, 5, 2), 6),
    ("b6", [48, 96], (96, 192, 384, 768), (192, 512, 1024, 2048), (2, 3, 6, 3), 6),
)


def timm(config: Any) -> Network:
    """Return timm's HGNetV2 in the size of `config`, and the sizes that timm knows."""
    require(len(config.stage_in_channels) == _STAGES, f"it does not have {_STAGES} stages")
    stem_strides = getattr(config, "stem_strides", _STEM_STRIDES)  # transformers 4 has no others
    require(list(stem_strides) == _STEM_STRIDES, "its stem has strides of its own")
    require(config.hidden_act == "relu", f"it has {config.hidden_act} in the stem and ReLU elsewhere")
    strides = getattr(config, "stage_downsample_strides", [_STRIDE] * _STAGES)
    lowered = zip(config.stage_downsample, strides, strict=False)
    require(all(stride == _STRIDE for down, stride in lowered if down), "its stages have strides of their own")
    return Network(
        base="timm.models.hgnet.HighPerfGpuNet",
        arguments={"cfg": _cfg(config), "head_hidden_size": None, "use_lab": config.use_learnable_affine_block},
        rules=(
            ("embedder.{part}.convolution.{tensor}", "stem.{part}.conv.{tensor}", ""),
            ("embedder.{part}.normalization.{tensor}", "stem.{part}.bn.{tensor}", ""),
            ("embedder.{part}.lab.{tensor}", "stem.{part}.lab.{tensor}", ""),
            ("encoder.{part}.convolution.{tensor}", "{part}.conv.{tensor}", ""),
            ("encoder.{part}.normalization.{tensor}", "{part}.bn.{tensor}", ""),
            ("encoder.{part}.lab.{tensor}", "{part}.lab.{tensor}", ""),
            ("fc.{tensor}", "head.fc.{tensor}", ""),
        ),
        variants=_variants(),
    )


def _cfg(config: Any) -> dict[str, Any]:
    rows = zip(
        config.stage_in_channels,
        config.stage_mid_channels,
        config.stage_out_channels,
        config.stage_num_blocks,
        config.stage_downsample,
        config.stage_light_block,
        config.stage_kernel_size,
        config.stage_numb_of_layers,
        strict=False,
    )
    stages = {f"stage{number}": list(row) for number, row in enumerate(rows, start=1)}
    return {"stem_type": "v2", "stem_chs": list(config.stem_channels[1:]), **stages}


def _variants() -> dict[str, dict[str, Any]]:
    """Return timm's own configurations of the sizes."""
    found = {}
    for name, stem, mid, out, blocks, layers in _SIZES:
        widths = zip([stem[-1], *out], mid, out, blocks, strict=False)
        stages = {
            f"stage{number}": [*width, *_COMMON[number - 1], layers] for number, width in enumerate(widths, start=1)
        }
        found[name] = {"cfg": {"stem_type": "v2", "stem_chs": stem, **stages}}
    return found
