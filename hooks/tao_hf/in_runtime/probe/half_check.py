"""Does the exported network agree in FP16, and what of it must stay in FP32 for that? Measured with ONNX Runtime."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime.probe import engine_check, generated
from tao_hf.in_runtime.probe.common import first_line
from tao_hf.in_runtime.task_code import load_file

FILE = "tao-deploy/nvidia_tao_deploy/cv/{{model_name}}/utils/onnx_precision.py"
ENOUGH = 0.99  # of the predictions: the same as in FP32
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Operators to keep in FP32, group after group until the predictions agree; at last all but those with weights.
_GROUPS = (
    (),
    ("InstanceNormalization", "LayerNormalization", "Pow", "ReduceMean", "Sqrt"),
    ("Exp", "ReduceSum", "Softmax"),
    ("GridSample", "Log", "Sigmoid"),
)


def measure(
    file: str, shapes: Mapping[str, Sequence[Sequence[int]]], batches: Sequence[Any], outputs: Any
) -> dict[str, Any]:
    """Bring an ONNX file into FP16, run it, and build its engine.

    Args:
        file: path of the ONNX file.
        shapes: for the engine; see `engine_check.build`.
        batches: images, arrays (N, C, H, W).
        outputs: how the task compares outputs; see `task_code`.

    Returns:
        ``kept``: operators that stay in FP32, those of the best attempt where none is good enough; ``agreement``: the
        part of the predictions that are the same as in FP32; ``difference``: the largest one, as a part of the
        largest output, None where an output overflows; ``error``: why there is no such network, or None.
    """
    import onnx

    rounding = load_file(TEMPLATE / "standins" / "modules" / "tensorrt" / "_rounding.py")
    model = onnx.load(file)
    there = {node.op_type for node in model.graph.node}
    expected = _run(model, batches)
    best: dict[str, Any] = {"kept": [], "agreement": None, "difference": None, "error": "not tried"}
    for kept in _choices(there):
        try:
            half = generated.module(FILE, kept_in_fp32=tuple(kept)).to_fp16(model)
            found = _run(rounding.rounded(half), batches)
            agreement = sum(map(outputs.agreement, expected, found)) / len(batches)
            if best["error"] is None and agreement <= best["agreement"]:
                continue
            _build(half, shapes)
        except Exception as error:
            if best["error"] is not None:
                best["error"] = first_line(error)
            continue
        worst = [difference / scale for difference, scale in map(outputs.difference, expected, found)]
        finite = all(map(math.isfinite, worst))
        best = {"kept": kept, "agreement": agreement, "difference": max(worst) if finite else None, "error": None}
        if agreement >= ENOUGH:
            break
    return best


def _choices(there: set[str]) -> Iterator[list[str]]:
    """Yield what to keep in FP32 of the operators that are there: more and more of them."""
    kept: set[str] = set()
    for group in _GROUPS:
        if not group or there & set(group):
            kept |= there & set(group)
            yield sorted(kept)
    yield sorted(there - _WEIGHTED)


def _run(model: Any, batches: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the outputs of a model for each batch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [tuple(session.run(None, {"input": batch})) for batch in batches]


def _build(model: Any, shapes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    import onnx

    with tempfile.TemporaryDirectory(prefix="tao-hf-half-") as folder:
        file = os.path.join(folder, "half.onnx")
        onnx.save(model, file)
        engine_check.build(file, shapes)
