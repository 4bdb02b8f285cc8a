"""Measuring what of a network must stay in FP32."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.in_runtime.test_engine_check import said  # noqa: F401 - a fixture

pytestmark = pytest.mark.runtime


def test_most_networks_keep_nothing(said: Callable) -> None:  # noqa: F811
    """A convolution agrees in FP16 as it is, and is built."""
    half = said("print(json.dumps(tried(torch.nn.Conv2d(3, 4, 3))))")["fp16"]
    assert half["kept"] == [] and half["error"] is None
    assert half["agreement"] == 1.0 and 0 < half["difference"] < 1e-2 and half["choices"] is None


def test_norms_that_overflow_stay_in_fp32(said: Callable) -> None:  # noqa: F811
    """Squares beyond the largest number of FP16: the norm's operators, and only those that are there, are kept."""
    found = said("""
        from tao_hf.in_runtime.probe import half_check

        class Norm(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Conv2d(3, 4, 3)

            def forward(self, x):
                x = self.conv(x) * 1000
                return x / (x ** 2).mean(1, keepdim=True).sqrt()

        mended = tried(Norm())
        half_check._choices = lambda there: [[]]
        print(json.dumps({"mended": mended["fp16"], "as it is": tried(Norm())["fp16"]}))
    """)
    assert found["mended"]["kept"] == ["Pow", "ReduceMean", "Sqrt"] and found["mended"]["agreement"] >= 0.99
    assert found["as it is"]["kept"] == [] and found["as it is"]["agreement"] < 0.9


def test_what_is_chosen_among_equals_does_not_matter(said: Callable) -> None:  # noqa: F811
    """Scores that FP16 cannot tell apart: other proposals are chosen, and their values are compared all the same."""
    found = said("""
        class Choice(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Conv2d(3, 4, 3)

            def forward(self, x):
                values = self.conv(x).flatten(2)
                chosen = (1 + 1e-3 * values[:, 0]).topk(4).indices
                return values.gather(2, chosen[:, None].expand(-1, 4, -1)).unflatten(2, (2, 2))

        print(json.dumps(tried(Choice())["fp16"]))
    """)
    assert found["agreement"] == 1.0 and found["difference"] < 1e-2
    assert 0 < found["choices"] < 0.9


def test_what_is_not_built_is_no_choice(said: Callable) -> None:  # noqa: F811
    """Where TensorRT refuses all but the layers with weights in FP16, the rest stays in FP32."""
    found = said("""
        from tao_hf.in_runtime.probe import half_check

        def build(model, shapes):
            halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == 10}
            if any(node.op_type == "Mul" and halves & set(node.input) for node in model.graph.node):
                raise engine_check.RefusalError("no tactic")

        class Scaled(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Conv2d(3, 4, 3)
                self.scale = torch.nn.Parameter(torch.rand(4, 1, 1))

            def forward(self, x):
                return self.conv(x) * self.scale

        half_check._build = build
        print(json.dumps(tried(Scaled())["fp16"]))
    """)
    assert found["error"] is None and found["kept"] == ["Mul"] and found["agreement"] >= 0.99


def test_what_cannot_be_converted_is_told(said: Callable) -> None:  # noqa: F811
    """A network that has no FP16 form is none to refuse: FP32 works, and the findings say why the other does not."""
    found = said("""
        from tao_hf.in_runtime.probe import half_check

        def refuse(file, shapes):
            raise engine_check.RefusalError("TensorRT refuses the operator Cast", "Cast")

        half_check._build = lambda model, shapes: refuse("", shapes)
        print(json.dumps(tried(torch.nn.Conv2d(3, 4, 3))))
    """)
    assert found["ok"] and found["fp16"]["error"] == "TensorRT refuses the operator Cast"
    assert found["fp16"]["kept"] == []
