"""Does the exported network agree in FP16, and what of it must stay in FP32 for that? Measured with ONNX Runtime."""

from __future__ import annotations

import copy
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

    Networks that choose among proposals (TopK) are compared with FP32 on the proposals that were chosen in FP16: with
    random weights many are as good as each other, and rounding decides between them.

    Args:
        file: path of the ONNX file.
        shapes: for the engine; see `engine_check.build`.
        batches: images, arrays (N, C, H, W).
        outputs: how the task compares outputs; see `task_code`.

    Returns:
        ``kept``: operators that stay in FP32, those of the best attempt where none is good enough; ``agreement``: the
        part of the predictions that are the same as in FP32; ``difference``: the largest one, as a part of the
        largest output, None where an output overflows; ``choices``: the part of the proposals that FP32 chooses too,
        None where nothing is chosen; ``error``: why there is no such network, or None.
    """
    import onnx

    rounding = load_file(TEMPLATE / "standins" / "modules" / "tensorrt" / "_rounding.py")
    model = onnx.load(file)
    there = {node.op_type for node in model.graph.node}
    chosen = [node.output[1] for node in model.graph.node if node.op_type == "TopK"]
    given = _with_choices_given(model) if chosen else None
    runs = _run(_with_choices_told(model, chosen), batches)
    exact, own = zip(*(_split(values, chosen) for values in runs), strict=True)
    best: dict[str, Any] = dict.fromkeys(("kept", "agreement", "difference", "choices"))
    best |= {"kept": [], "error": "not tried"}
    for kept in _choices(there):
        try:
            half = generated.module(FILE, kept_in_fp32=tuple(kept)).to_fp16(model)
            values = _run(_with_choices_told(rounding.rounded(half), chosen), batches)
            found, choices = zip(*(_split(value, chosen) for value in values), strict=True)
            pairs = zip(batches, choices, strict=True)
            expected = _run(given, [(batch, *choice) for batch, choice in pairs]) if chosen else exact
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
        best = {
            "kept": kept,
            "agreement": agreement,
            "difference": max(worst) if finite else None,
            "choices": _same(own, choices) if chosen else None,
            "error": None,
        }
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


def _with_choices_told(model: Any, chosen: Sequence[str]) -> Any:
    """Return a model whose last outputs are the indices of what it chooses."""
    import onnx

    telling = copy.deepcopy(model)
    for name in chosen:
        telling.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None))
    return telling


def _with_choices_given(model: Any) -> Any:
    """Return a model that takes the indices of what to choose as further inputs."""
    import onnx

    given = copy.deepcopy(model)
    nodes = []
    for node in given.graph.node:
        if node.op_type != "TopK":
            nodes.append(node)
            continue
        best, indices = node.output
        given.graph.input.append(onnx.helper.make_tensor_value_info(indices, onnx.TensorProto.INT64, None))
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
        if best:
            nodes.append(onnx.helper.make_node("GatherElements", [node.input[0], indices], [best], axis=axis))
    del given.graph.node[:]
    given.graph.node.extend(nodes)
    return given


def _split(values: tuple[Any, ...], chosen: Sequence[str]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the outputs proper, and the choices."""
    place = len(values) - len(chosen)
    return values[:place], values[place:]


def _same(own: Sequence[Any], other: Sequence[Any]) -> float:
    """Return which part of the choices is the same; a choice is an array of indices (batch, ..., number)."""
    shares = []
    for ours, theirs in zip(own, other, strict=True):
        for one, two in zip(ours, theirs, strict=True):
            rows = zip(one.reshape(-1, one.shape[-1]), two.reshape(-1, two.shape[-1]), strict=True)
            shares += [len(set(first) & set(second)) / len(set(first)) for first, second in rows]
    return sum(shares) / len(shares)


def _run(model: Any, feeds: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the outputs of a model for each batch: an array, or a tuple where there are more inputs than one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    values = [feed if isinstance(feed, tuple) else (feed,) for feed in feeds]
    return [tuple(session.run(None, dict(zip(names, value, strict=True)))) for value in values]


def _build(model: Any, shapes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    import onnx

    with tempfile.TemporaryDirectory(prefix="tao-hf-half-") as folder:
        file = os.path.join(folder, "half.onnx")
        onnx.save(model, file)
        engine_check.build(file, shapes)
