"""The export check: what is said of a model that no exporter takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tao_hf.in_runtime.probe.common import clean
from tests.support.paths import HOOKS

COUNTING = """
import json
import torch
from tao_hf.in_runtime.probe import onnx_check

class Counting(torch.nn.Module):
    def forward(self, x):
        result = x
        for _ in range(int(x.abs().sum())):
            result = result + x
        return result

class Outputs:
    DYNAMIC_SIZE = False
    TOLERANCE = 1e-4

    @staticmethod
    def difference(expected, got):
        return float(abs(expected[0] - got[0]).max()), float(abs(expected[0]).max())

images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
print(json.dumps(onnx_check.try_exporters(Counting().eval(), images[:1], images, Outputs, ["output"])))
"""


@pytest.mark.runtime
def test_why_torch_export_failed(runtime_python: Path, tmp_path: Path) -> None:
    """A model that loops over values: the reason is told, not which step of the exporter failed, and without colors."""
    done = subprocess.run(
        [str(runtime_python), "-W", "ignore", "-c", COUNTING],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(HOOKS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert not found["ok"] and found["exporter"] == "dynamo"
    assert "data-dependent" in found["error"]
    assert "step 1" not in found["error"] and "[0m" not in found["error"]


def test_strangers_text_is_made_plain() -> None:
    """Colors go whole, with the letters that stand for them; so do line ends and characters that turn text around."""
    assert clean("one\x1b[96m two\x1b[0m\u202e\n three\x07") == "one two three"
    assert clean("x" * 300, 10) == "x" * 9 + "…"
