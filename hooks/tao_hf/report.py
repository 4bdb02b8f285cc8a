"""The report of one model's tests: report.json for programs, report.md and a short table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tao_hf.cache import write_atomic

MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}
STATUSES = tuple(MARKS)


def plain(text: object) -> str:
    """Return `text` on one line and without control characters (a terminal would obey them)."""
    return "".join(character for character in " ".join(str(text).split()) if character.isprintable())


def new_report(
    info: dict[str, Any], runtime: str, stand_ins: Sequence[str], steps: Sequence[tuple[str, str]], precision: str
) -> dict[str, Any]:
    """Return the report as it stands before the first step: every step skipped because it was not reached.

    Args:
        info: the model's model.json (model_name, task_type, hf_model_id).
        runtime: kind of the runtime, "local" or "docker".
        stand_ins: names of the stand-ins that take the place of NVIDIA's packages.
        steps: (id, title) of every step, in order.
        precision: precision of the TensorRT engine, "FP32" or "FP16".
    """
    return {
        "model_name": info["model_name"],
        "task_type": info["task_type"],
        "hf_model_id": info["hf_model_id"],
        "runtime": runtime,
        "stand_ins": sorted(stand_ins),
        "steps": [
            {"id": step_id, "title": title, "status": "skipped", "seconds": 0.0, "reason": "not reached", "log": None}
            for step_id, title in steps
        ],
        "metrics": {"native": None, "deployed": None},
        "cross_check": {"images": None, "agreement": None, "max_abs_diff": None, "precision": precision},
    }


def set_step(
    report: dict[str, Any], step_id: str, status: str, *, seconds: float = 0.0, reason: str = "", log: str | None = None
) -> None:
    """Record how a step ended.

    Args:
        report: the report, changed in place.
        step_id: id of a step of the report.
        status: "passed", "failed" or "skipped"; the last two need a reason.
        seconds: how long it took.
        reason: why it failed or was skipped; for a passed step, what was found (may be empty).
        log: path of the log relative to the working directory, None when the step wrote none.

    Raises:
        ValueError: unknown status or step, or a failed or skipped step without a reason.
    """
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r}")
    if status != "passed" and not reason:
        raise ValueError(f"step {step_id} is {status} and must say why")
    for entry in report["steps"]:
        if entry["id"] == step_id:
            entry.update(status=status, seconds=round(seconds, 2), reason=plain(reason), log=log)
            return
    raise ValueError(f"no step {step_id!r} in the report")


def verdict(report: dict[str, Any]) -> str:
    """Return "failed" when a step failed, "passed" when some passed and none failed, else "skipped"."""
    states = [entry["status"] for entry in report["steps"]]
    if "failed" in states:
        return "failed"
    return "passed" if "passed" in states else "skipped"


def save(report: dict[str, Any], folder: Path) -> None:
    """Write report.json and report.md into `folder`."""
    write_atomic(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomic(folder / "report.md", markdown(report))


def load(folder: Path) -> dict[str, Any] | None:
    """Return the report of `folder`, or None when there is none that can be read."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and isinstance(report.get("steps"), list) else None


def _cell(value: object) -> str:
    """Return `value` as one line that cannot break out of a Markdown table cell."""
    text = plain(value)
    for character in "\\`|<>[]*_":
        text = text.replace(character, f"\\{character}")
    return text


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"
    return str(value)


def _metric_rows(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    native, deployed = (report["metrics"][side] or {} for side in ("native", "deployed"))
    names = [*native, *(name for name in deployed if name not in native)]
    return [(name, _number(native.get(name)), _number(deployed.get(name))) for name in names]


def _verdict_sentence(report: dict[str, Any]) -> str:
    counts = {status: sum(step["status"] == status for step in report["steps"]) for status in STATUSES}
    tally = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    word = {"passed": "PASSED", "failed": "FAILED", "skipped": "NOTHING WAS RUN"}[verdict(report)]
    return f"{word} ({tally})"


def _stand_in_sentence(report: dict[str, Any]) -> str:
    if not report["stand_ins"]:
        return "Everything ran on NVIDIA's own packages; no stand-in was used."
    names = ", ".join(report["stand_ins"])
    return (
        f"These parts ran on stand-ins, not on NVIDIA's own software: {names}. What they prove is that the generated "
        "code is right; speed and the numbers of a real TensorRT engine they do not show."
    )


def markdown(report: dict[str, Any]) -> str:
    """Return the report as Markdown: verdict, stand-ins, steps, metrics, cross-check."""
    lines = [
        f"# {_cell(report['model_name'])}: test report",
        "",
        f"**{_verdict_sentence(report)}**",
        "",
        f"- Hugging Face model: {_cell(report['hf_model_id'])}",
        f"- Task: {_cell(report['task_type'])}",
        f"- Runtime: {_cell(report['runtime'])}",
        f"- {_cell(_stand_in_sentence(report))}",
        "",
        "## Steps",
        "",
        "| | Step | Result | Seconds | Note | Log |",
        "|---|---|---|---:|---|---|",
    ]
    for step in report["steps"]:
        link = f"[{Path(step['log']).name}](<logs/{Path(step['log']).name}>)" if step["log"] else ""
        lines.append(
            f"| {_cell(step['id'])} | {_cell(step['title'])} | {MARKS[step['status']]} {step['status']} "
            f"| {step['seconds']:.1f} | {_cell(step['reason'])} | {link} |"
        )
    rows = _metric_rows(report)
    if rows:
        lines += ["", "## Metrics", "", "| Metric | Native (PyTorch) | Deployed (TensorRT) |", "|---|---:|---:|"]
        lines += [f"| {_cell(name)} | {native} | {deployed} |" for name, native, deployed in rows]
    check = report["cross_check"]
    if check["images"] is not None:
        lines += [
            "",
            "## Native against deployed",
            "",
            f"On {check['images']} images at {check['precision']} both give the same label for "
            f"{check['agreement']:.2%}; the largest absolute difference between two raw outputs is "
            f"{check['max_abs_diff']:.3g}.",
        ]
    return "\n".join(lines) + "\n"


def _step_line(step: dict[str, Any], width: int) -> str:
    seconds = f"{step['seconds']:7.1f}s" if step["status"] != "skipped" else " " * 8
    return f"  {MARKS[step['status']]} {step['title']:<{width}} {seconds}  {step['reason']}".rstrip()


def summary_table(report: dict[str, Any]) -> str:
    """Return the short table shown at the end of a run: steps, metrics, cross-check, stand-ins, verdict."""
    width = max(len(step["title"]) for step in report["steps"])
    lines = [f"{report['model_name']} ({report['task_type']}, from {plain(report['hf_model_id'])})", ""]
    for (status, reason), group in groupby(report["steps"], lambda step: (step["status"], step["reason"])):
        steps = list(group)
        if status == "skipped" and len(steps) > 2:
            span = f"{steps[0]['title']} … {steps[-1]['title']}"
            lines.append(f"  {MARKS[status]} {span} ({len(steps)} steps): {reason}")
        else:
            lines += [_step_line(step, width) for step in steps]
    rows = _metric_rows(report)
    if rows:
        names = max(6, *(len(name) for name, _, _ in rows))
        lines += ["", f"  {'metric':<{names}} {'native':>10} {'deployed':>10}"]
        lines += [f"  {name:<{names}} {native:>10} {deployed:>10}" for name, native, deployed in rows]
    check = report["cross_check"]
    if check["images"] is not None:
        lines += [
            "",
            f"  native against deployed ({check['precision']}, {check['images']} images): "
            f"{check['agreement']:.2%} same label, largest difference {check['max_abs_diff']:.3g}",
        ]
    if report["stand_ins"]:
        lines += ["", f"  on stand-ins: {', '.join(report['stand_ins'])}"]
    return "\n".join([*lines, "", f"  {_verdict_sentence(report)}"])
