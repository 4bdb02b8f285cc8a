"""Images a second of the generated ViT-B/16, against the Hugging Face model it was made from, in the same run.

    export PYTHONPATH=hooks:networks/backbone:standins/tao_pytorch:standins/modules
    python -m benchmarks.throughput [--batch N] [--rounds N] [--precision fp32|bf16]

Runs with an interpreter that has torch, transformers and timm, else with the local runtime's; on the GPU where there is
one, else on the CPU. TAO's base classes are those on PYTHONPATH, the stand-in's or a clone's. Both models have the same
weights; their turns alternate, and the median of the rounds' ratios counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

try:
    import torch
except ImportError:  # the local runtime has it
    from tao_hf.runtime.kinds import get_runtime

    runtime = get_runtime("local")
    os.execv(runtime.python, [str(runtime.python), "-m", "benchmarks.throughput", *sys.argv[1:]])  # noqa: S606 - this script again

CLASSES, SIZE = 1000, [224, 224]
GOAL = 1.0


def main() -> int:
    """Measure, print a table, and tell by the exit status whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    gpu = torch.cuda.is_available()
    parser.add_argument("--batch", type=int, default=128 if gpu else 4)
    parser.add_argument("--rounds", type=int, default=20 if gpu else 5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16" if gpu else "fp32")
    options = parser.parse_args()
    device = torch.device("cuda" if gpu else "cpu")
    where = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    setting = f"{SIZE[0]}x{SIZE[1]} pixels, batch {options.batch}, {options.precision}"
    print(f"ViT-B/16, {setting}, {where}, torch {torch.__version__}")
    subject, backbones = _models()
    images = torch.randn(options.batch, 3, *SIZE, device=device)
    labels = torch.randint(CLASSES, (options.batch,), device=device)
    theirs = subject.model.to(device)
    worst = float("inf")
    print(f"{'strategy':<10}{'what':<12}{'HF img/s':>10}{'ours img/s':>12}{'ratio':>8}")
    for strategy, backbone in backbones.items():
        ours = backbone.to(device)
        pairs = {
            "inference": (_inference(theirs, images, options), _inference(ours, images, options)),
            "train step": (_training(theirs, images, labels, options), _training(ours, images, labels, options)),
        }
        for what, (one, other) in pairs.items():
            rounds = [(_seconds(one, device), _seconds(other, device)) for _ in range(options.rounds + 1)][1:]
            ratio = statistics.median(first / second for first, second in rounds)
            rates = [options.batch / statistics.median(column) for column in zip(*rounds, strict=True)]
            print(f"{strategy:<10}{what:<12}{rates[0]:>10.1f}{rates[1]:>12.1f}{ratio:>7.2f}x")
            worst = min(worst, ratio)
        backbone.to("cpu")
    print(f"goal: at least {GOAL:.1f}x; worst measured: {worst:.2f}x")
    return 0 if worst >= GOAL else 1


def _models() -> tuple[Any, dict[str, Any]]:
    """Return the Hugging Face model and, by strategy, the generated backbone with its weights."""
    from transformers import ViTConfig

    from tao_hf.base.paths import TEMPLATE
    from tao_hf.in_runtime.prove import rendered
    from tao_hf.in_runtime.prove.subject import Subject
    from tao_hf.rendering import tasks

    mapped = {name: tasks.task(TEMPLATE, name)["auto_models"] for name in tasks.task_types(TEMPLATE)}
    findings = {
        "task_type": next(name for name, mappings in mapped.items() if "IMAGE_CLASSIFICATION" in mappings),
        "model_type": "vit",
        "model_class": "ViTForImageClassification",
        "config": {key: value for key, value in ViTConfig().to_diff_dict().items() if key != "model_type"},
        "image_size": SIZE,
        "channels": 3,
        "num_labels": CLASSES,
        "patch_size": 16,
        "preprocess": {},
        "output": "logits",
    }
    subject = Subject(findings)
    backbones = {}
    for strategy in ("reuse", "timm"):
        files = rendered.Files(strategy, rendered.start(strategy, subject.config, None), findings)
        backbone = files.build(subject.config.num_labels, SIZE)
        backbone.load_state_dict(files.convert_state(subject.model.state_dict(), backbone)[0], strict=True)
        backbones[strategy] = backbone
    return subject, backbones


def _logits(model: Any, images: Any, options: Any) -> Any:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=options.precision == "bf16"):
        result = model(images)
    return getattr(result, "logits", result)


def _inference(model: Any, images: Any, options: Any) -> Callable[[], None]:
    def run() -> None:
        model.eval()
        with torch.inference_mode():
            _logits(model, images, options)

    return run


def _training(model: Any, images: Any, labels: Any, options: Any) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    labels = labels % _logits(model, images[:1], options).shape[1]

    def run() -> None:
        model.train()
        loss = torch.nn.functional.cross_entropy(_logits(model, images, options).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return run


def _seconds(run: Callable[[], None], device: Any) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
