"""Cells of the tables that the measurements of architectures write."""

from __future__ import annotations

from typing import Any

_NAMED = 6  # operators; when nothing less helps, the inspection keeps all but the layers with weights


def cell(text: str) -> str:
    """Return a text in one line that breaks no table."""
    return " ".join(text.replace("|", "\\|").split())


def cells_of_export(onnx: dict[str, Any]) -> list[str]:
    """Return the cells "export", "engine" and "FP16" of an export that works; see `onnx_check.try_exporters`."""
    exporter = onnx["exporter"] + (" + size" if onnx["dynamic_size"] else "")
    exact = ", approximate" if onnx["approximate"] else ""
    export = f"{onnx['difference']:.1e}{exact} ({' without '.join([exporter, *onnx['rewrites']])})"
    return [export, _engine(onnx["engine"]), _half(onnx["fp16"])]


def _engine(engine: dict[str, Any]) -> str:
    if not engine["builder"]:
        return "not built"
    return f"{engine['layers']:,}" + (f" in {engine['seconds']:.1f} s" if "seconds" in engine else "")


def _half(half: dict[str, Any]) -> str:
    if half["error"]:
        return f"none: {cell(half['error'])}"
    names = ", ".join(half["kept"]) if len(half["kept"]) <= _NAMED else "all but the layers with weights"
    kept = f", {names} in FP32" if half["kept"] else ""
    worst = "overflow" if half["difference"] is None else f"{half['difference']:.1e}"
    chosen = f" ({half['choices']:.0%} of the proposals are those of FP32)" if half["choices"] is not None else ""
    return f"{half['agreement']:.2%}, {worst}{chosen}{kept}"
