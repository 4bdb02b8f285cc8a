"""The report of one model's tests: report.json for programs, report.md and a short table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tao_hf.base import atomic

MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}
STATUSES = tuple(MARKS)
NOT_REACHED = "not reached"
NEEDS = "needs "  # how the reason begins when a step was skipped because of another one


def plain(text: object) -> str:
    """Return `text` on one line and without control characters (a terminal would obey them)."""
    return "".join(character for character in " ".join(str(text).split()) if character.isprintable())


def new_report(
    info: dict[str, Any], runtime: str, stand_ins: Sequence[str], steps: Sequence[tuple[str, str]], level: str
) -> dict[str, Any]:
    """Return the report as it stands before the first step: every step skipped because it was not reached.

    Args:
        info: the model's model.json (model_name, task_type, hf_model_id, strategy, proof).
        runtime: kind of the runtime, "local" or "docker".
        stand_ins: names of the stand-ins that take the place of NVIDIA's packages.
        steps: (id, title) of every step, in order.
        level: "quick", "full", or "selected" when the first test was of selected steps alone.
    """
    report = {
        "model_name": info["model_name"],
        "task_type": info["task_type"],
        "hf_model_id": info["hf_model_id"],
        "strategy": info["strategy"],
        "proof": info["proof"],
        "runtime": runtime,
        "level": level,
        "data": None,
        "settings": [],
        "stand_ins": sorted(stand_ins),
        "steps": [dict.fromkeys(("id", "title", "status", "seconds", "reason", "log", "advice")) for _ in steps],
        "engine": None,
        "metrics": {"native": None, "deployed": None},
        "cross_check": _no_comparison("FP32"),
        "cross_check_fp16": _no_comparison("FP16"),
        "int8": None,
        "last_run": [],
    }
    for entry, (step_id, title) in zip(report["steps"], steps, strict=True):
        entry.update(id=step_id, title=title)
        set_step(report, step_id, "skipped", reason=NOT_REACHED)
    return report


def _no_comparison(precision: str) -> dict[str, Any]:
    return {"images": None, "agreement": None, "max_abs_diff": None, "precision": precision, "words": None}


def comparison(check: Mapping[str, Any]) -> str:
    """Return what a comparison of native and deployed predictions came to, in the words of its task."""
    agreement, difference = check["words"]
    return f"{check['agreement']:.2%} {agreement}, {difference} {check['max_abs_diff']:.3g}"


def int8_words(found: Mapping[str, Any]) -> str:
    """Return what INT8 made of the metric, and how many layers it was kept from."""
    lost = max(0.0, found["loss"])
    count = len(found["kept"])
    kept = f", {count} {'layer' if count == 1 else 'layers'} kept in FP32" if count else ""
    return f"{found['metric']} {found['deployed']:.4f} instead of {found['native']:.4f}, loses {lost:.4f}{kept}"


def engine_words(engine: Mapping[str, Any]) -> str:
    """Return who built and who executed an engine, by their true names."""
    builder, executor = engine["builder"], engine["executor"]
    if builder == executor:
        return builder
    return f"{builder} built, {executor} executed" if builder else f"no TensorRT built, {executor} executed"


def set_figures(report: dict[str, Any], figures: Mapping[str, dict[str, Any]]) -> None:
    """Record what was found: the "engine", "native" and "deployed" metrics, "fp32" and "fp16" comparisons, "int8".

    What is not among them is emptied.
    """
    report["engine"] = figures.get("engine")
    report["metrics"] = {side: figures.get(side) for side in ("native", "deployed")}
    report["cross_check"] = figures.get("fp32") or _no_comparison("FP32")
    report["cross_check_fp16"] = figures.get("fp16") or _no_comparison("FP16")
    report["int8"] = figures.get("int8")


def figures_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what `set_figures` recorded."""
    checks = {"fp32": report["cross_check"], "fp16": report["cross_check_fp16"]}
    found = {"engine": report.get("engine"), **report["metrics"], **checks, "int8": report.get("int8")}
    return {name: dict(figure) for name, figure in found.items() if figure}


def set_step(
    report: dict[str, Any],
    step_id: str,
    status: str,
    *,
    seconds: float = 0.0,
    reason: str = "",
    log: str | None = None,
    advice: dict[str, str] | None = None,
) -> None:
    """Record how a step ended.

    Args:
        report: the report, changed in place.
        step_id: id of a step of the report.
        status: "passed", "failed" or "skipped"; the last two need a reason.
        seconds: how long it took.
        reason: why it failed or was skipped; for a passed step, what was found (may be empty).
        log: path of the log relative to the working directory, None when the step wrote none.
        advice: symptom, cause and fix, for a failed step whose log is a known one.

    Raises:
        ValueError: unknown status or step, or a failed or skipped step without a reason.
    """
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r}")
    if status != "passed" and not reason:
        raise ValueError(f"step {step_id} is {status} and must say why")
    state = {"status": status, "seconds": round(seconds, 2), "reason": plain(reason), "log": log, "advice": advice}
    step_of(report, step_id).update(state)


def step_of(report: dict[str, Any], step_id: str) -> dict[str, Any]:
    """Return what a report says of a step; ValueError when it has none of that id."""
    for step in report["steps"]:
        if step["id"] == step_id:
            return step
    raise ValueError(f"no step {step_id!r} in the report")


def unfinished(report: dict[str, Any]) -> list[str]:
    """Return the ids of the steps that a run was to run and that did not pass, or were not reached because of that."""
    return [
        step["id"]
        for step in report["steps"]
        if step["status"] == "failed"
        or (step["status"] == "skipped" and (step["reason"] == NOT_REACHED or step["reason"].startswith(NEEDS)))
    ]


def verdict(report: dict[str, Any]) -> str:
    """Return "failed" when a step failed, "passed" when some passed and none failed, else "skipped"."""
    states = [entry["status"] for entry in report["steps"]]
    if "failed" in states:
        return "failed"
    return "passed" if "passed" in states else "skipped"


def succeeded(report: dict[str, Any]) -> bool:
    """Tell whether the last run did what it was to do: none of its steps failed or was skipped because of another."""
    return not set(unfinished(report)) & set(report["last_run"])


def save(report: dict[str, Any], folder: Path) -> None:
    """Write report.json and report.md into `folder`."""
    atomic.write(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    atomic.write(folder / "report.md", markdown(report))


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


def _comparisons(report: dict[str, Any]) -> list[dict[str, Any]]:
    both = (report["cross_check"], report["cross_check_fp16"])
    return [check for check in both if check["images"] is not None]


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


def _proof_sentence(report: dict[str, Any]) -> str:
    """Return what the proof of the backbone showed."""
    found = report["proof"]
    sizes = " and ".join("x".join(map(str, size)) for size in found["sizes"])
    where = "" if found["against"] == "tao-pytorch" else f" (on the stand-in: {found['against']})"
    return (
        f"strategy {report['strategy']}, with {found['weights']} weights: its outputs differ from the Hugging Face "
        f"model's by at most {found['difference']:.1e} of the largest, at {sizes} pixels{where}"
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
        f"- Proof: {_cell(_proof_sentence(report))}",
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
    advised = [step for step in report["steps"] if step["advice"]]
    if advised:
        lines += ["", "## What to do"]
    for step in advised:
        lines += [
            "",
            f"- **{_cell(step['title'])}**: {_cell(step['advice']['symptom'])}",
            f"  - likely cause: {_cell(step['advice']['cause'])}",
            f"  - fix: {_cell(step['advice']['fix'])}",
        ]
    rows = _metric_rows(report)
    if rows:
        deployed = f" ({_cell(engine_words(report['engine']))})" if report.get("engine") else ""
        lines += ["", "## Metrics", "", f"| Metric | Native (PyTorch) | Deployed{deployed} |", "|---|---:|---:|"]
        lines += [f"| {_cell(name)} | {native} | {deployed} |" for name, native, deployed in rows]
    checks = _comparisons(report)
    if checks:
        lines += ["", "## Native against deployed"]
    for check in checks:
        lines += [
            "",
            f"On {check['images']} images at {check['precision']}: {_cell(comparison(check))}.",
        ]
    int8 = report.get("int8")
    if int8:
        lines += ["", f"On {int8['images']} images at INT8: {_cell(int8_words(int8))}."]
        lines += [f"Kept in FP32: {_cell(', '.join(int8['kept']))}."] if int8["kept"] else []
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
        if report.get("engine"):
            lines += ["", f"  deployed: {plain(engine_words(report['engine']))}"]
        lines += ["", f"  {'metric':<{names}} {'native':>10} {'deployed':>10}"]
        lines += [f"  {name:<{names}} {native:>10} {deployed:>10}" for name, native, deployed in rows]
    checks = _comparisons(report)
    if checks:
        lines.append("")
    lines += [
        f"  native against deployed ({check['precision']}, {check['images']} images): {plain(comparison(check))}"
        for check in checks
    ]
    if report.get("int8"):
        lines.append(
            f"  native against deployed (INT8, {report['int8']['images']} images): {plain(int8_words(report['int8']))}"
        )
    lines += ["", f"  proof: {plain(_proof_sentence(report))}"]
    if report["stand_ins"]:
        lines += ["", f"  on stand-ins: {', '.join(report['stand_ins'])}"]
    return "\n".join([*lines, "", f"  {_verdict_sentence(report)}"])
