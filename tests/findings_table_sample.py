"""Findings as the probe gives them, for tests that need some without running it."""

SAMPLE = {
    "schema": 1, "hf_model_id": "google/vit-base-patch16-224", "source": "hub", "revision": "a" * 40,
    "pipeline_tag": "image-classification", "task_type": "image-classification", "library": "transformers",
    "architectures": ["ViTForImageClassification"], "model_type": "vit", "model_class": "ViTForImageClassification",
    "suggested_name": "vit_base_patch16_224", "image_size": [224, 224], "channels": 3, "hidden_size": 768,
    "num_layers": 12, "patch_size": 16, "feature_dim": 768, "num_labels": 3, "labels": ["cat", "dog", "bird"],
    "label_problem": None,
    "preprocess": {"resize": {"mode": "exact", "height": 224, "width": 224}, "crop": None, "interpolation": "bicubic",
                   "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "channel_order": "RGB"},
    "preprocess_max_abs_diff": 0.0, "config": {"model_type": "vit"},
    "head": {"modules": ["classifier"], "parameters": ["classifier.weight", "classifier.bias"]},
    "checkpoint": {"format": "safetensors", "tensors": 200, "parameters": 86567656, "bytes": 346270624, "missing": [],
                   "unexpected": [], "mismatched": []},
    "onnx": {"ok": True, "exporter": "torchscript", "opset": 17, "failing_op": None, "error": None, "max_abs_diff": 1e-6},
    "notes": ["an exact resize is assumed"],
    "versions": {"torch": "2.11.0", "transformers": "5.0.0", "onnx": "1.21.0", "onnxruntime": "1.25.0"}, "seconds": 7.3,
}
