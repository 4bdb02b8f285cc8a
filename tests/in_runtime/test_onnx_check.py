"""The export check: what is said of a model that no exporter takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tao_hf.in_runtime.probe.common import clean
from tests.support.paths import HOOKS

RUN = """
import json
import torch
from tao_hf.in_runtime.probe import onnx_check

class Module(torch.nn.Module):
    def forward(self, x):
        {forward}

class Outputs:
    DYNAMIC_SIZE = False
    TOLERANCE = 1e-4

    @staticmethod
    def difference(expected, got):
        return float(abs(expected[0] - got[0]).max()), float(abs(expected[0]).max())

images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
print(json.dumps(onnx_check.try_exporters(Module().eval(), images[:1], images, Outputs, ["output"])))
"""


def try_exporters(forward: str, runtime_python: Path, folder: Path) -> dict[str, Any]:
    """Return what is found of a module whose forward pass is one line of code."""
    done = subprocess.run(
        [str(runtime_python), "-W", "ignore", "-c", RUN.replace("{forward}", forward)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(HOOKS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.runtime
def test_why_torch_export_failed(runtime_python: Path, tmp_path: Path) -> None:
    """A model that loops over values: the reason is told, not which step of the exporter failed, and without colors."""
    found = try_exporters("return sum([x] * int(x.abs().sum()))", runtime_python, tmp_path)
    assert not found["ok"] and found["exporter"] == "dynamo"
    assert "data-dependent" in found["error"]
    assert "step 1" not in found["error"] and "[0m" not in found["error"]


@pytest.mark.runtime
def test_a_network_that_counts_its_images(runtime_python: Path, tmp_path: Path) -> None:
    """An export for batches of one size is refused for that, and not for what ONNX Runtime says of another one."""
    found = try_exporters("return torch.stack([x[i] * 2 for i in range(len(x))])", runtime_python, tmp_path)
    assert not found["ok"] and "counts the images while it is exported: batches of 2 only" in found["error"]


def test_strangers_text_is_made_plain() -> None:
    """Colors go whole, with the letters that stand for them; so do line ends and characters that turn text around."""
    assert clean("one\x1b[96m two\x1b[0m\u202e\n three\x07") == "one two three"
    assert clean("x" * 300, 10) == "x" * 9 + "…"
