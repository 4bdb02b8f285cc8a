"""The findings as a table that a person reads before answering the questions they fill in."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import Any

_GREEN, _YELLOW, _DIM, _BOLD, _OFF = "\033[32m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"
_NARROWEST, _WIDEST = 48, 100
_LABELS_SHOWN = 8
_FP16_ENOUGH = 0.99  # of the predictions


def render(findings: dict[str, Any], width: int = 80, color: bool = False) -> str:
    """Return the findings as lines of text.

    Args:
        findings: what `inspect_model` returned.
        width: columns of the terminal.
        color: use ANSI colours.
    """
    width = max(_NARROWEST, min(width, _WIDEST))
    sections = [_model(findings), _input(findings), _checkpoint(findings), _export(findings)]
    if findings["num_labels"]:
        sections.insert(2, _labels(findings))
    notes = [("note", note, "warn") for note in findings.get("notes", [])]
    if findings.get("label_problem"):
        notes.insert(0, ("labels", findings["label_problem"], "warn"))
    if notes:
        sections.append(notes)
    column = max(len(name) for rows in sections for name, _, _ in rows)
    space = width - column - 7
    title = _plain(f" {findings['hf_model_id']} ")
    title = title if len(title) <= width - 6 else f" …{title[-(width - 9) :]}"
    lines = [_paint(f"╭──{title}{'─' * (width - 4 - len(title))}╮", _BOLD, color)]
    for index, rows in enumerate(sections):
        if index:
            lines.append(_paint(f"├{'─' * (width - 2)}┤", _DIM, color))
        for name, value, mood in rows:
            shade = {"good": _GREEN, "warn": _YELLOW}.get(mood, "")
            for number, part in enumerate(_wrap(_plain(value), space)):
                left = name if number == 0 else ""
                text = _paint(part + " " * max(0, space - _columns(part)), shade, color and bool(shade))
                lines.append(f"│ {_paint(left.rjust(column), _DIM, color)}  {text}  │")
    lines.append(_paint(f"╰{'─' * (width - 2)}╯", _BOLD, color))
    return "\n".join(lines)


Row = tuple[str, str, str]


def _model(found: dict[str, Any]) -> list[Row]:
    parts = [
        f"{found['num_layers']} layers" if found.get("num_layers") else "",
        f"width {found['hidden_size']}" if found.get("hidden_size") else "",
        f"patch {found['patch_size']}" if found.get("patch_size") else "",
    ]
    revision = found.get("revision")
    others = [name for name in found["task_types"] if name != found["task_type"]]
    return [
        ("task", found["task_type"] + (f"; it can be for {' or '.join(others)} too" if others else ""), ""),
        ("architecture", f"{found['model_type']} ({found.get('model_class') or 'unknown class'})", ""),
        ("shape", ", ".join(part for part in parts if part) or "unknown", ""),
        ("source", f"Hub, commit {revision[:12]}" if revision else "local directory", ""),
    ]


def _input(found: dict[str, Any]) -> list[Row]:
    height, width = found["image_size"]
    kind = {1: "grayscale", 3: "RGB"}.get(found["channels"], f"{found['channels']} channels")
    pre, resize = found["preprocess"], found["preprocess"]["resize"]
    how = "no resize"
    if resize and resize["mode"] == "exact":
        how = f"resize to {resize['height']} x {resize['width']}"
    elif resize:
        how = f"shorter side to {resize['size']}"
    if resize:
        how += f", {pre['interpolation']}"
    if pre["crop"]:
        how += f", centre crop {pre['crop']['height']} x {pre['crop']['width']}"
    difference = found.get("preprocess_max_abs_diff")
    measured = "" if difference is None else f" (differs from the HF processor by {difference:.1e})"
    return [
        ("input", f"{height} x {width} pixels, {kind}", ""),
        ("preprocessing", how + measured, ""),
        ("mean / std", f"{_numbers(pre['mean'])} / {_numbers(pre['std'])}", ""),
    ]


def _labels(found: dict[str, Any]) -> list[Row]:
    names = [_plain(name) for name in found["labels"][:_LABELS_SHOWN]]
    more = "" if len(found["labels"]) <= _LABELS_SHOWN else f" … {found['labels'][-1]}"
    head = ", ".join(found["head"]["modules"]) or "none found"
    width = f" (takes {found['feature_dim']} features)" if found.get("feature_dim") else ""
    return [("classes", f"{found['num_labels']}: {', '.join(names)}{more}", ""), ("head", head + width, "")]


def _checkpoint(found: dict[str, Any]) -> list[Row]:
    entry = found["checkpoint"]
    if entry["format"] == "none":
        return [("checkpoint", "no weights here: training starts from random ones", "warn")]
    if entry["format"] == "pytorch":
        return [("checkpoint", "pickled weights (not read); safetensors are safer", "warn")]
    size = f"{entry['tensors']} tensors, {entry['parameters'] / 1e6:.1f} M parameters, {entry['bytes'] / 1e6:.0f} MB"
    rows = [("checkpoint", size, "")]
    for name in ("missing", "unexpected", "mismatched"):
        if entry.get(name):
            rows.append((name, ", ".join(entry[name][:4]) + (" …" if len(entry[name]) > 4 else ""), "warn"))
    return rows


def _export(found: dict[str, Any]) -> list[Row]:
    onnx = found["onnx"]
    if onnx["ok"]:
        text = (
            f"works: {onnx['exporter']} exporter, opset {onnx['opset']}; ONNX Runtime differs by "
            f"{onnx['max_abs_diff']:.1e}"
        )
        if onnx.get("approximate"):
            text += f", {onnx['difference']:.1e} of the largest output: approximate"
        if onnx.get("rewrites"):
            text += f"; exported without {' and '.join(onnx['rewrites'])}, which TensorRT refuses"
        return [("ONNX", text, "good"), _engine(onnx.get("engine")), *_half(onnx.get("fp16"))]
    operator = f", operator {onnx['failing_op']}" if onnx.get("failing_op") else ""
    return [("ONNX", f"not exportable as it is{operator}: {onnx['error']}", "warn")]


def _engine(engine: dict[str, Any] | None) -> Row:
    if not engine or not engine["builder"]:
        return ("engine", "not tried: there is no TensorRT here that builds without a GPU", "warn")
    return ("engine", f"{engine['builder']} builds it: {engine['layers']:,} layers, {engine['seconds']:.1f} s", "good")


def _half(half: dict[str, Any] | None) -> list[Row]:
    if not half:
        return []
    if half["error"]:
        return [("FP16", f"no engine: {half['error']}", "warn")]
    differ = "some overflow" if half["difference"] is None else f"outputs differ by {half['difference']:.1e}"
    text = f"{half['agreement']:.2%} of the predictions are those of FP32; {differ}"
    if half["kept"]:
        text += f"; {', '.join(half['kept'])} stay in FP32"
    return [("FP16", text, "good" if half["agreement"] >= _FP16_ENOUGH else "warn")]


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _plain(text: object) -> str:
    """Return strangers' text without anything that moves the cursor, breaks the frame or is endless."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split(" "))
    return line if len(line) <= 400 else line[:399] + "…"


def _columns(text: str) -> int:
    """Return the terminal columns that `text` takes: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _wrap(text: str, space: int) -> list[str]:
    """Break `text` into lines of at most `space` columns."""
    lines: list[str] = []
    for line in textwrap.wrap(text, space) or [""]:
        rest = line
        while _columns(rest) > space:
            cut = next(end for end in range(len(rest), 0, -1) if _columns(rest[:end]) <= space)
            lines.append(rest[:cut])
            rest = rest[cut:]
        lines.append(rest)
    return lines


def _paint(text: str, code: str, color: bool) -> str:
    return f"{code}{text}{_OFF}" if color else text
