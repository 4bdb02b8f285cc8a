"""Checkpoints of networks that hold a Hugging Face model, saved in one transformers version and loaded in another.

    python -m tests.support.checkpoint_cases save|load TENSOR_NAMES FOLDER

`TENSOR_NAMES` is a rendered model/tensor_names.py. A line of JSON says how far the outputs differ, by architecture.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch

SIZES: dict[str, Any] = {
    "vit": {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 32},
    "swin": {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2],
             "window_size": 4},
    "segformer": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2],
                  "decoder_hidden_size": 16},
    "rt_detr": {"d_model": 16, "encoder_hidden_dim": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
                "encoder_in_channels": [16, 24, 32], "decoder_in_channels": [16, 16, 16], "decoder_layers": 1,
                "num_queries": 9, "decoder_attention_heads": 2, "encoder_attention_heads": 2},
}  # fmt: skip
CLASSES = {
    "vit": "ViTForImageClassification",
    "swin": "SwinForImageClassification",
    "segformer": "SegformerForSemanticSegmentation",
    "rt_detr": "RTDetrForObjectDetection",
}


class Network(torch.nn.Module):
    """Holds a Hugging Face model as generated networks do."""

    def __init__(self, model_type: str, names: Any) -> None:
        """Build the model with random weights."""
        import transformers

        super().__init__()
        sizes = dict(SIZES[model_type])
        if model_type == "rt_detr":
            backbone = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
                        "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"]}  # fmt: skip
            sizes["backbone_config"] = transformers.AutoConfig.for_model("rt_detr_resnet", **backbone)
        config = transformers.AutoConfig.for_model(model_type, num_labels=3, **sizes)
        self.hf_model = getattr(transformers, CLASSES[model_type])(config)
        names.use_published_names(self)

    def forward(self, images: Any) -> Any:
        """Return the logits."""
        return self.hf_model(pixel_values=images).logits


def main(what: str, tensor_names: str, folder: str) -> None:
    """Save every model with its logits, or load it and compare them."""
    spec = importlib.util.spec_from_file_location("tensor_names", tensor_names)
    names = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(names)
    differences = {}
    for model_type in SIZES:
        torch.manual_seed(len(what))
        network = Network(model_type, names).eval()
        size = 32 if model_type in ("vit", "swin") else 64
        images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        file = Path(folder) / f"{model_type}.pth"
        with torch.no_grad():
            if what == "save":
                torch.save({"state": network.state_dict(), "logits": network(images)}, file)
                continue
            saved = torch.load(file, weights_only=True)
            network.load_state_dict(saved["state"], strict=True)
            assert network.state_dict().keys() == saved["state"].keys(), model_type
            differences[model_type] = (network(images) - saved["logits"]).abs().max().item()
    print(json.dumps(differences))


if __name__ == "__main__":
    main(*sys.argv[1:])
