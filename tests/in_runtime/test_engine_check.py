"""Asking TensorRT whether it takes an exported network."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.runtime

PRELUDE = """
import json, sys
import torch
from torch.nn import functional
from tao_hf.in_runtime.probe import engine_check, onnx_check

class Outputs:
    DYNAMIC_SIZE = False
    TOLERANCE = 1e-4

    @staticmethod
    def difference(expected, got):
        return float(abs(expected[0] - got[0]).max()), float(abs(expected[0]).max())

    @staticmethod
    def agreement(expected, got):
        return float((abs(expected[0] - got[0]) < 0.01 * abs(expected[0]).max()).mean())

def tried(module, channels=3, size=8):
    torch.manual_seed(0)
    images = torch.randn(2, channels, size, size)
    return onnx_check.try_exporters(module.eval(), images[:1], images, Outputs, ["output"])
"""


@pytest.fixture
def said(runtime_python: Path, tmp_path: Path) -> Callable[[str], dict]:
    """Return a function that runs code in the runtime and returns the JSON that it prints last."""

    def run(code: str) -> dict:
        done = subprocess.run(
            [str(runtime_python), "-W", "ignore", "-c", PRELUDE + textwrap.dedent(code)],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT / "hooks")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


def test_what_agrees_and_builds(said: Callable) -> None:
    """The first exporter is taken; who built the engine, of how many layers and in what time, is told."""
    found = said("print(json.dumps(tried(torch.nn.Conv2d(3, 4, 3))))")
    assert (found["ok"], found["exporter"], found["rewrites"]) == (True, "torchscript", [])
    assert found["engine"]["builder"].startswith("TensorRT-RTX ")
    assert found["engine"]["layers"] > 0 and found["engine"]["seconds"] >= 0


def test_another_exporter_is_tried(said: Callable) -> None:
    """Batch statistics of weights: TensorRT refuses what the first exporter makes of them, and ONNX Runtime runs it."""
    found = said("""
        class Standardized(torch.nn.Conv2d):
            def forward(self, x):
                rows = self.weight.reshape(1, len(self.weight), -1)
                weight = functional.batch_norm(rows, None, None, training=True).reshape_as(self.weight)
                return functional.conv2d(x, weight)

        model = Standardized(3, 4, 3, bias=False)
        found = tried(model)
        onnx_check._ATTEMPTS = onnx_check._ATTEMPTS[:1]
        print(json.dumps({"both": found, "first": tried(model)}))
    """)
    assert (found["both"]["ok"], found["both"]["exporter"]) == (True, "dynamo")
    assert not found["first"]["ok"] and found["first"]["failing_op"] == "BatchNormalization"
    assert "refuses the operator BatchNormalization" in found["first"]["error"]
    assert "it must not be in training mode" in found["first"]["error"]  # what would mend it


@pytest.mark.parametrize(
    ("function", "module", "operator"),
    [
        ("fold", "lambda x: functional.fold(functional.unfold(x, 2, stride=2) * 2, (8, 8), 2, stride=2)", "Col2Im"),
        ("avg_pool2d", "lambda x: functional.avg_pool2d(x, 2560, ceil_mode=True)", "AveragePool"),
    ],
)
def test_a_function_is_said_otherwise(said: Callable, function: str, module: str, operator: str) -> None:
    """A function whose operator TensorRT refuses is exported in terms of others; without that the operator is named."""
    found = said(f"""
        class Model(torch.nn.Module):
            def forward(self, x):
                return ({module})(x)

        kept = getattr(functional, {function!r})
        found = tried(Model())
        assert getattr(functional, {function!r}) is kept
        onnx_check.rewrites.called = lambda run: ()
        print(json.dumps({{"with": found, "without": tried(Model())}}))
    """)
    assert found["with"]["ok"] and found["with"]["rewrites"] == [function]
    assert found["with"]["max_abs_diff"] < 1e-5 and found["with"]["engine"]["layers"] > 0
    assert not found["without"]["ok"] and found["without"]["failing_op"] == operator
    assert "TensorRT-RTX" in found["without"]["error"] and operator in found["without"]["error"]


def test_a_split_of_batches_counts_no_images(said: Callable) -> None:
    """A batch that is stacked on others and taken apart again is split into parts of a fixed number, not size."""
    found = said("""
        class Model(torch.nn.Module):
            def forward(self, x):
                both = torch.cat([x, 2 * x], dim=0)
                return sum(part.reshape(x.shape) * weight for weight, part in enumerate(both.split(x.shape[0]), 1))

        kept = torch.Tensor.split
        found = tried(Model())
        assert torch.Tensor.split is kept
        onnx_check.rewrites.called = lambda run: ()
        onnx_check._ATTEMPTS = onnx_check._ATTEMPTS[:1]
        print(json.dumps({"with": found, "without": tried(Model())}))
    """)
    assert (found["with"]["ok"], found["with"]["rewrites"]) == (True, ["split"])
    assert not found["without"]["ok"] and "split" in found["without"]["error"].lower()


def test_what_a_condition_clears_is_a_product(said: Callable) -> None:
    """Rows of a mask that are all true are cleared, as OneFormer does: indices would be NonZero."""
    found = said("""
        class Model(torch.nn.Module):
            def forward(self, x):
                mask = x > 0
                mask[torch.where(mask.sum(-1) > 2)] = False
                return torch.where(mask, x, -x)

        kept = torch.where, torch.Tensor.__setitem__
        found = tried(Model())
        assert kept == (torch.where, torch.Tensor.__setitem__)
        onnx_check.rewrites.called = lambda run: ()
        onnx_check._ATTEMPTS = onnx_check._ATTEMPTS[:1]
        print(json.dumps({"with": found, "without": tried(Model())}))
    """)
    assert found["with"]["ok"] and found["with"]["rewrites"] == ["where"]
    assert not found["without"]["ok"] and found["without"]["failing_op"] == "NonZero"


def test_functions_that_overlap_stay_pytorchs(said: Callable) -> None:
    """Where the other words would say something else, PyTorch's own function does the work."""
    found = said("""
        from tao_hf.in_runtime.probe import rewrites
        x = torch.randn(2, 3, 8, 8)

        def set_elements():
            values = x.clone()
            values[torch.where(x > 0)] = 1.0
            values[:, 0] = values[x[:, 0, 0, 0] > 9] = False
            return values

        cases = {
            "fold": lambda: functional.fold(functional.unfold(x, 3, padding=1), (8, 8), 3, padding=1),
            "pool": lambda: functional.avg_pool2d(x, 3, 2, 1),
            "wide": lambda: functional.avg_pool2d(x, (2, 8)),
            "uneven": lambda: torch.cat(x.split([1, 2], dim=1)[1:]),
            "channels": lambda: torch.cat(x.split(2, 1)[1:]),
            "chosen": lambda: torch.where(x > 0, x, -x),
            "set": set_elements,
        }
        plain = {name: case() for name, case in cases.items()}
        with rewrites.rewritten(rewrites.NAMES):
            same = {name: torch.equal(case(), plain[name]) for name, case in cases.items()}
        print(json.dumps(same))
    """)
    assert set(found) == {"fold", "pool", "wide", "uneven", "channels", "chosen", "set"} and all(found.values())


def test_what_differs_more_is_called_approximate(said: Callable) -> None:
    """A difference between the task's tolerance and the limit is told; beyond the limit the exporter has failed."""
    found = said("""
        class Shifted(torch.nn.Module):
            def forward(self, x):
                return x * (1 + error) if torch.onnx.is_in_onnx_export() else x

        tried_with = {}
        for error in (0.0, 5e-4, 5e-2):
            tried_with[str(error)] = tried(Shifted())
        print(json.dumps(tried_with))
    """)
    assert [found[error]["approximate"] for error in ("0.0", "0.0005", "0.05")] == [False, True, None]
    assert found["0.0005"]["ok"] and found["0.0005"]["difference"] == pytest.approx(5e-4, rel=1e-2)
    assert not found["0.05"]["ok"] and "differs from PyTorch" in found["0.05"]["error"]


def test_without_any_tensorrt(said: Callable) -> None:
    """Where no TensorRT can build, the numbers alone decide, and the findings say that nobody was asked."""
    found = said("""
        sys.modules["tensorrt"] = sys.modules["tensorrt_rtx_bindings"] = None
        print(json.dumps(tried(torch.nn.Conv2d(3, 4, 3))))
    """)
    assert found["ok"] and found["engine"] == {"builder": None, "layers": None, "seconds": None}


def test_profile(said: Callable) -> None:
    """Batches of 1, 8 and 16, and the larger size where sizes are dynamic."""
    found = said("print(json.dumps([engine_check.profile([64, 96], 3), engine_check.profile([8, 8], 1, [16, 24])]))")
    assert found[0] == [[1, 3, 64, 96], [8, 3, 64, 96], [16, 3, 64, 96]]
    assert found[1] == [[1, 1, 8, 8], [8, 1, 8, 8], [16, 1, 16, 24]]
