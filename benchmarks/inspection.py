"""What one inspection costs: our probe against the hand procedure's three, on a ViT-B served by a stand-in Hub.

    PYTHONPATH=hooks python -m benchmarks.inspection [--rounds N]

Needs an interpreter with torch and transformers: TAO_HF_PYTHON, else the local runtime of the cache. Both sides start
with an empty Hugging Face cache and read from the same server on 127.0.0.1, so no network speed flatters either.
The hand procedure runs three processes one after the other: the card, the architecture with its checkpoint, the ONNX
export.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tao_hf.runtime.kinds import get_runtime
from tests.support.stub_hub import StubHub, StubModel

WALL_GOAL, BYTES_GOAL = 0.6, 1 / 500
MODEL = "bench/vit-base"

SAVE = """
import sys
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
names = {index: f"class {index}" for index in range(1000)}
config = ViTConfig(id2label=names, label2id={name: index for index, name in names.items()})
ViTForImageClassification(config).save_pretrained(sys.argv[1])
ViTImageProcessor().save_pretrained(sys.argv[1])
"""
CARD = """
import sys
from huggingface_hub import model_info
print(model_info(sys.argv[1]).pipeline_tag)
"""
CHECKPOINT = """
import sys
from transformers import AutoConfig, AutoModel
config = AutoConfig.from_pretrained(sys.argv[1])
weights = AutoModel.from_pretrained(sys.argv[1]).state_dict()
print(config)
for name, tensor in list(weights.items())[:30]:
    print(name, tuple(tensor.shape))
"""
EXPORT = """
import sys
import torch
from transformers import AutoConfig, AutoModel
size = AutoConfig.from_pretrained(sys.argv[1]).image_size
model = AutoModel.from_pretrained(sys.argv[1]).eval()
torch.onnx.export(
    model, torch.randn(1, 3, size, size), sys.argv[2], input_names=["input"], output_names=["output"],
    dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}}, opset_version=17,
)
"""


def run(argv: list[str], endpoint: str, home: Path) -> None:
    """Run one process with an empty Hugging Face home; end the benchmark when it fails.

    The hand procedure's export may fail on the installed versions; that it took the time is what counts.
    """
    env = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONNOUSERSITE": "1",
    }
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        print(f"  note: a process ended with {done.returncode}: {last[:160]}")


def by_hand(python: str, hub: StubHub, scratch: Path) -> tuple[float, int]:
    """Return seconds and bytes of the three separate probes."""
    before, started = hub.bytes_sent, time.monotonic()
    home = scratch / "hand"
    run([python, "-c", CARD, MODEL], hub.url, home)
    run([python, "-W", "ignore", "-c", CHECKPOINT, MODEL], hub.url, home)
    run([python, "-W", "ignore", "-c", EXPORT, MODEL, str(scratch / "hand.onnx")], hub.url, home)
    seconds = time.monotonic() - started
    shutil.rmtree(home, ignore_errors=True)
    return seconds, hub.bytes_sent - before


def ours(python: str, hub: StubHub, scratch: Path) -> tuple[float, int]:
    """Return seconds and bytes of the one probe."""
    before, started = hub.bytes_sent, time.monotonic()
    files = [str(scratch / "findings.json"), str(scratch / "report.json")]
    run([python, "-m", "tao_hf.in_runtime.probe.run", "hub", MODEL, "", "", *files], hub.url, scratch / "ours")
    seconds = time.monotonic() - started
    shutil.rmtree(scratch / "ours", ignore_errors=True)
    return seconds, hub.bytes_sent - before


def main() -> int:
    """Measure, print the table, say whether the goals are met; the status is always 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measure this often and take the best (default 3)")
    rounds = parser.parse_args().rounds
    runtime = get_runtime("local")
    runtime.prepare()
    python = str(runtime.python)
    with tempfile.TemporaryDirectory(prefix="tao-hf-bench-") as folder, StubHub() as hub:
        scratch = Path(folder)
        print("saving a random ViT-B …", flush=True)
        subprocess.run([python, "-W", "ignore", "-c", SAVE, str(scratch / "model")], check=True, capture_output=True)
        hub.models[MODEL] = StubModel(scratch / "model")
        ours(python, hub, scratch)  # not counted: the first import of torch reads gigabytes from the disk
        hand, one = [], []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds} …", flush=True)
            hand.append(by_hand(python, hub, scratch))
            one.append(ours(python, hub, scratch))
    wall, hand_bytes = min(hand)
    our_wall, our_bytes = min(one)
    print(f"\nViT-B, 1000 classes; {os.cpu_count()} cores, Python {platform.python_version()}; best of {rounds}\n")
    print(f"{'':24}{'by hand':>14}{'our probe':>14}{'ratio':>12}{'goal':>12}")
    print(f"{'processes':24}{3:>14}{1:>14}")
    print(f"{'wall time':24}{wall:>12.1f} s{our_wall:>12.1f} s{our_wall / wall:>12.2f}{'≤ 0.60':>12}")
    share = f"1/{hand_bytes / our_bytes:.0f}"
    print(f"{'bytes from the Hub':24}{hand_bytes:>14,}{our_bytes:>14,}{share:>12}{'≤ 1/500':>12}")
    print(f"\nevery round, seconds: by hand {_list(hand)}, our probe {_list(one)}\n")
    for what, value, goal in (("wall time", our_wall / wall, WALL_GOAL), ("bytes", our_bytes / hand_bytes, BYTES_GOAL)):
        print(f"{what}: {'goal met' if value <= goal else 'GOAL MISSED'}")
    return 0


def _list(measured: list[tuple[float, int]]) -> str:
    return " ".join(f"{seconds:.1f}" for seconds, _ in measured)


if __name__ == "__main__":
    sys.exit(main())
