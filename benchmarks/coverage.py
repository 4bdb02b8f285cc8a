"""Which architectures become TAO models: every one that transformers maps to a task, measured.

    PYTHONPATH=hooks python -m benchmarks.coverage [--task TASK] [--only NAMES] [--tao-source embedded|auto] [--resume]
        [--jobs N]

With TAO_HF_VERSIONS=tao-7.0.1 (make coverage VERSIONS=tao-7.0.1) the versions of that image are measured: the document
is docs/coverage/TASK-tao-7.0.1.md, and no architecture may fail, because how many there are is up to its transformers.

A tiny random model of each (tests/support/models) goes through `copier copy` with all answers left to the template, in
a working directory of its own; then the generated tests run: they train, convert, export to ONNX and compare with ONNX
Runtime. What came of it is written into docs/coverage/TASK.md, for one task or for all of them. The status is 1 when an
architecture makes the template crash, or when fewer than the task's goal pass or are refused for what they are: by the
inspection, or because no exporter takes them. A task's models and its goal are named in its task.yml, tiny_models.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks import processes
from benchmarks.cells import cell, cells_of_export
from tao_hf.rendering import tasks
from tao_hf.runtime.kinds import get_runtime

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = os.environ.get("TAO_HF_VERSIONS", "")
SUFFIX = f"-{VERSIONS}" if VERSIONS else ""
BUILD = ROOT / "build" / f"coverage{SUFFIX}"
DOCUMENTS = ROOT / "docs" / "coverage"
LONGEST = 1200  # seconds for one model
PASSED, FAILED, REFUSED, CRASHED = "passed", "failed", "refused", "crashed"


def make_models(python: str, task: str, names: list[str]) -> dict[str, Any]:
    """Make the tiny models of a task in the local runtime; return their rows, and what there is no row for."""
    module = tasks.task(ROOT, task)["tiny_models"]["module"]
    done = processes.run(python, "-m", f"tests.support.models.{module}", str(BUILD / "models" / task), *names)
    if done.returncode:
        raise SystemExit(f"the tiny models cannot be made: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def take(task: str, name: str, model: str, answers: dict[str, Any], tao_source: str) -> dict[str, Any]:
    """Run the template on one model of a task and return what came of it."""
    workdir, taken = BUILD / "work" / task / name, f"tiny_{name}"
    shutil.rmtree(workdir, ignore_errors=True)
    given = {
        "hf_model_id": BUILD / "models" / task / model,
        "task_type": task,
        "model_name": taken,
        "runtime": "local",
        "tao_source": tao_source,
        "strategy": "auto",
        "run_tests": "quick",
        **answers,
    }
    data = [item for key, value in given.items() for item in ("--data", f"{key}={value}")]
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--vcs-ref", "HEAD", *data]
    started = time.monotonic()
    try:
        done = subprocess.run(
            [*command, str(ROOT), str(workdir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output, status = f"{error.stdout or ''}\nno end after {LONGEST} s", 1
    seconds = time.monotonic() - started
    log = BUILD / "logs" / task / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(output, encoding="utf-8")
    result = {"seconds": round(seconds, 1), **_judged(workdir / ".tao-hf" / taken, output, status)}
    result["reason"] = result["reason"].replace(f"{BUILD}/", "")
    if result["outcome"] in (PASSED, REFUSED):
        shutil.rmtree(workdir, ignore_errors=True)
    return result


def _judged(records: Path, output: str, status: int) -> dict[str, Any]:
    """Return the outcome and its figures, from a model's records, what Copier printed and how it ended."""
    answers, report = records / "answers.yml", records / "report.json"
    if not report.is_file() or not answers.is_file():
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "nothing was printed")
        if "Traceback (most recent call last)" in output:
            return {"outcome": CRASHED, "reason": last}
        refused = "✗ inspecting" in output or "it cannot be exported to ONNX" in last
        return {"outcome": REFUSED if refused else FAILED, "reason": last}
    steps = json.loads(report.read_text(encoding="utf-8"))["steps"]
    recorded = yaml.safe_load(answers.read_text(encoding="utf-8"))
    proofs, findings = recorded["proofs"], recorded["findings"]
    strategy = next(name for name, entry in proofs["tried"].items() if entry["passed"])
    failed = [step["reason"] for step in steps if step["status"] == "failed"]
    tests = [int(count) for step in steps for count in re.findall(r"(\d+) tests? passed", step["reason"] or "")]
    return {
        "outcome": PASSED if status == 0 and not failed else FAILED,
        "reason": "; ".join(failed),
        "architecture": findings["model_type"],
        "strategy": strategy,
        "against": proofs["against"],
        "passed_over": {name: entry["reason"] for name, entry in proofs["tried"].items() if not entry["passed"]},
        "difference": proofs["tried"][strategy]["difference"],
        "sizes": proofs["tried"][strategy]["sizes"],
        "onnx": proofs["measured"][strategy]["onnx"],
        "tests": sum(tests),
        "versions": findings["versions"],
    }


def render(task: str, results: dict[str, dict[str, Any]], made: dict[str, Any], args: argparse.Namespace) -> str:
    """Return the document."""
    columns = ("architecture", "model", "strategy", "proof", "export", "engine", "FP16", "tests", "seconds", "")
    rows = [f"| {' | '.join(columns)} |", f"{'|---' * len(columns)}|"]
    rows += [_row(name, result, made["rows"][name]) for name, result in results.items()]
    versions = next((result["versions"] for result in results.values() if "versions" in result), {})
    against = sorted({result["against"] for result in results.values() if "against" in result})
    whole = against == ["tao-pytorch"]
    return "\n".join(
        [
            f"# Coverage: {task}" + (f", in the versions of {VERSIONS}" if VERSIONS else ""),
            "",
            f"Written by `make coverage{' VERSIONS=' if VERSIONS else ''}{VERSIONS}`; do not edit.",
            "A tiny random model of every architecture that transformers maps",
            f"to {task} went through the template with `strategy=auto`, and through the generated tests.",
            "",
            f"**{_summary(results, made)}**",
            "",
            "They were proven against "
            + ("the real tao-pytorch." if whole else f"the stand-in of tao-pytorch ({'; '.join(against)})."),
            f"Versions: {', '.join(f'{name} {number}' for name, number in versions.items())}; {os.cpu_count()} cores, "
            f"models at a time: {args.jobs}; `tao_source={args.tao_source}`.",
            "",
            "- **strategy**: the first that gives the model's numbers.",
            "- **proof**: largest difference from the Hugging Face model's outputs, as a part of the largest one; at",
            "  the native size and, where two sizes are named, at another one.",
            "- **export**: largest difference of ONNX Runtime from PyTorch on a small twin, as a part of the largest",
            "  output; of detectors between matched predictions. More than 1e-4 is called approximate, more than 1e-3",
            "  refused. `+ size`: height and width are dynamic too;",
            "  `without f`: the export says the function f of PyTorch otherwise, because TensorRT refuses it.",
            f"- **engine**: layers that {_builders(results)} parsed and built of that twin, for batches of 1 to 16",
            "  (usually 8), and where the network is the Hugging Face model's, the seconds that it took.",
            "- **FP16**: of that twin, how many of the predictions are those of FP32 (same label, pixels of the same",
            "  label, matched predictions), and the largest difference as a part of the largest output, both by ONNX",
            "  Runtime; operators that have to stay in FP32 for that. Its engine is built too. Detectors that choose",
            "  among proposals are compared on those that were chosen in FP16: with random weights many are as good as",
            "  each other, and rounding decides between them.",
            "- **tests**: generated tests that passed; **seconds**: inspection, proof, rendering and tests together.",
            "",
            *rows,
            "",
            *_passed_over(results),
        ]
    )


def _row(name: str, result: dict[str, Any], architecture: str) -> str:
    if "strategy" not in result:
        note = f"**{result['outcome']}**: {cell(result['reason'])}"
        cells = [*[""] * 6, f"{result['seconds']:.0f}", note]
    else:
        sizes = " and ".join("x".join(map(str, size)) for size in result["sizes"])
        note = "" if result["outcome"] == PASSED else f"**{result['outcome']}**: {cell(result['reason'])}"
        cells = [
            result["strategy"],
            f"{result['difference']:.1e} at {sizes}",
            *cells_of_export(result["onnx"]),
            str(result["tests"]),
            f"{result['seconds']:.0f}",
            note,
        ]
    return f"| {architecture} | {name} | {' | '.join(cells)} |"


def _builders(results: dict[str, dict[str, Any]]) -> str:
    names = {result["onnx"]["engine"]["builder"] for result in results.values() if "onnx" in result}
    return " and ".join(sorted(name or "nothing (there was no TensorRT)" for name in names)) or "nothing"


def _passed_over(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        f"- {name}: " + "; ".join(f"{strategy}: {cell(reason)}" for strategy, reason in result["passed_over"].items())
        for name, result in results.items()
        if result.get("passed_over")
    ]
    return ["## Why a strategy was passed over", "", *lines, ""] if lines else []


def _outcomes(results: dict[str, dict[str, Any]], made: dict[str, Any]) -> dict[str, str]:
    """Return the worst outcome of every architecture."""
    order = (PASSED, REFUSED, FAILED, CRASHED)
    worst: dict[str, str] = {}
    for name, result in results.items():
        architecture = made["rows"][name]
        worst[architecture] = max(worst.get(architecture, PASSED), result["outcome"], key=order.index)
    return worst


def _summary(results: dict[str, dict[str, Any]], made: dict[str, Any]) -> str:
    outcomes = list(_outcomes(results, made).values())
    counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in (PASSED, REFUSED, FAILED, CRASHED))
    without = f"; no tiny model yet: {', '.join(made['missing'])}" if made["missing"] else ""
    return f"{len(outcomes)} of {made['architectures']} architectures: {counts}{without}."


def measure(task: str, python: str, args: argparse.Namespace) -> bool:
    """Take the models of a task through the template and write its document; return whether its goal is reached."""
    about = tasks.task(ROOT, task)["tiny_models"]
    answered = about["answered"]
    print(f"{task}: making the tiny models …", flush=True)
    models = [answered[wanted]["model"] if wanted in answered else wanted for wanted in args.only or []]
    made = make_models(python, task, list(dict.fromkeys(models)))
    made["rows"] |= {
        name: made["rows"][entry["model"]] for name, entry in answered.items() if entry["model"] in made["rows"]
    }

    def result(name: str) -> dict[str, Any]:
        entry = answered.get(name, {"model": name, "answers": {}})
        return take(task, name, entry["model"], entry["answers"], args.tao_source)

    results = {}
    names, folder = args.only or list(made["rows"]), BUILD / "results" / task
    for name, found in processes.side_by_side(result, names, folder, jobs=args.jobs, resume=args.resume):
        results[name] = found
        print(_row(name, found, made["rows"][name]), flush=True)
    if not args.only:
        DOCUMENTS.mkdir(exist_ok=True)
        (DOCUMENTS / f"{task}{SUFFIX}.md").write_text(render(task, results, made, args), encoding="utf-8")
    print(_summary(results, made))
    outcomes = list(_outcomes(results, made).values())
    goal = len(outcomes) if args.only or VERSIONS else about["goal"]
    enough = outcomes.count(PASSED) + outcomes.count(REFUSED) >= goal
    return enough and CRASHED not in outcomes


def main() -> int:
    """Measure one task or all; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measured = tasks.with_tiny_models(ROOT)
    parser.add_argument("--task", choices=measured, help="this task alone")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these models of one task; no document is written")
    parser.add_argument("--tao-source", choices=("embedded", "auto"), default="embedded")
    parser.add_argument("--resume", action="store_true", help="keep the results of models that are done")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many models at a time")
    args = parser.parse_args()
    if args.only and not args.task:
        parser.error("--only needs --task, which says whose models they are")
    runtime = get_runtime("local")
    runtime.prepare()
    reached = [measure(task, str(runtime.python), args) for task in ([args.task] if args.task else measured)]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
