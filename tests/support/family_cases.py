"""What the families say of many models in the runtime.

    python -m tests.support.family_cases OUT

Run by the fixture `in_runtime` in test_network.py. Each family is asked with transformers' own configuration object;
the host asks with what is recorded of it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from tao_hf.in_runtime.prove.configuration import recorded
from tao_hf.rendering import network

warnings.simplefilter("ignore")

# What differs from transformers' defaults in a way that a family looks at.
CHANGES: dict[str, list[dict[str, Any]]] = {
    "beit": [
        {"use_relative_position_bias": True},
        {"use_absolute_position_embeddings": True, "use_mean_pooling": False},
    ],
    "bit": [{"global_padding": "same", "embedding_dynamic_padding": True, "layer_type": "bottleneck"}],
    "convnext": [{"layer_scale_init_value": 0.0, "depths": [1, 1, 2, 1]}, {"hidden_act": "relu"}],
    "deit": [{"architectures": ["DeiTForImageClassificationWithTeacher"]}],
    "dinov2": [{"use_swiglu_ffn": True}, {"image_size": 518}],
    "efficientnet": [{"width_coefficient": 1.1, "depth_coefficient": 1.2}, {"pooling_type": "max"}],
    "focalnet": [{"use_layerscale": True, "use_conv_embed": True}],
    "levit": [{"architectures": ["LevitForImageClassificationWithTeacher"]}],
    "mobilevit": [{"hidden_sizes": [96, 120, 144], "neck_hidden_sizes": [16, 16, 32, 64, 96, 128, 384]}],
    "regnet": [{"layer_type": "x"}],
    "resnet": [{"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}],
    "swin": [{"hidden_act": "relu"}, {"image_size": [192, 256]}],
    "timm_wrapper": [
        {"architecture": "vit_tiny_patch16_224"},
        {"architecture": "resnet18"},
        {"architecture": "efficientnet_b0"},
        {"architecture": "mobilevit_s", "model_args": {"img_size": 128}},
        {"architecture": "test_vit", "model_args": {"embed_dim": 32, "num_heads": 2}},
        {"architecture": "regnety_002"},
        {"architecture": "vit_small_patch14_dinov2"},
    ],
    "vit": [{"hidden_act": "quick_gelu", "qkv_bias": False}, {"image_size": [64, 96], "hidden_size": 48}],
}


class Seen:
    """A transformers configuration that a family may read, with what timm builds beside it as in the record."""

    def __init__(self, config: Any, built: Any) -> None:
        """Keep both."""
        self._config, self._built = config, built

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the configuration."""
        return self._built if name == "built" else getattr(self._config, name)


def said(strategy: str, config: Any) -> Any:
    """Return what a family says of what can be read by attributes; why it refuses, where it does."""
    kept = network.Configuration
    network.Configuration = lambda _: config
    try:
        return network.evaluate(strategy, {"model_type": config.model_type})
    except network.NotCovered as reason:
        return str(reason)
    finally:
        network.Configuration = kept


def main(out: Path) -> None:
    """Write [{"model_type", "changes", "recorded", "said": {strategy: what a family says}}], and timm's own tables."""
    from timm.models import hgnet, regnet
    from transformers import AutoConfig

    rows = []
    for model_type in network.model_types():
        given = CHANGES.get(model_type, [])
        for changes in given if model_type == "timm_wrapper" else [{}, *given]:
            config = AutoConfig.for_model(model_type, **changes)
            record = recorded(config)
            seen = Seen(config, record.get("built"))
            rows.append({
                "model_type": model_type,
                "changes": changes,
                "recorded": record,
                "said": {strategy: said(strategy, seen) for strategy in ("reuse", "timm")},
            })  # fmt: skip
    sizes: dict[str, Any] = {"hgnet_v2": {}, "x": {}, "y": {}}
    for name, cfg in hgnet.model_cfgs.items():
        if name.startswith("hgnetv2_"):
            sizes["hgnet_v2"][name.removeprefix("hgnetv2_")] = cfg
    for name, cfg in regnet.model_cfgs.items():
        kind, _, size = name.removeprefix("regnet").partition("_")
        if kind in ("x", "y") and size.isdigit() and int(size) <= 320:
            stages = regnet.RegNet._get_stage_args(None, cfg)[0]
            widths, depths, groups = ([stage[key] for stage in stages] for key in ("out_chs", "depth", "group_size"))
            sizes[kind][size] = [cfg.stem_width, widths, depths, max(groups)]
    out.write_text(json.dumps({"rows": rows, "sizes": sizes}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
