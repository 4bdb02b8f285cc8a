"""Are architectures exported and built at the sizes that they were published with? One configuration of each.

    PYTHONPATH=hooks python -m benchmarks.published_sizes [--task TASK] [--only NAMES] [--resume] [--jobs N]

Takes the configuration that transformers has by default, which is that of a published checkpoint, and does what the
inspection does before a model is downloaded: random weights, at most two layers a stage, all widths and the size of
images as published; both exporters, ONNX Runtime, TensorRT, FP16. Each architecture has a process of its own in the
local runtime. The table is written into docs/coverage/published-sizes.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.cells import cell, cells_of_export
from tao_hf.rendering import tasks
from tao_hf.runtime.kinds import get_runtime

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "published_sizes"
DOCUMENT = ROOT / "docs" / "coverage" / "published-sizes.md"
LONGEST = 1200  # seconds for one architecture
_MEASURED = "measured: "  # the line of a process that holds its result

HEAD = """# Exports at published sizes

One configuration of each architecture, that of transformers by default: widths, patches and size of images are those of
a published checkpoint; layers at most two a stage, weights random. Columns as in the other tables; the engines are for
batches of 1 to 16 (usually 8), of segmenters with dynamic height and width for larger images too. `make coverage-sizes`
writes this page.

| task | architecture | size | export | engine | FP16 | seconds | |
|---|---|---|---|---|---|---|---|
"""


def measure(task: str, architecture: str) -> dict[str, Any]:
    """Try the exporters on an architecture; runs inside the runtime.

    Returns:
        ``size`` (height and width in pixels; None where the architecture is refused before) and ``onnx`` (see
        `onnx_check.check`).
    """
    import transformers

    from tao_hf.in_runtime import task_code
    from tao_hf.in_runtime.probe import onnx_check

    transformers.logging.set_verbosity_error()
    outputs = task_code.load(task, "outputs")
    about = tasks.task(ROOT, task)
    models = importlib.import_module(f"tests.support.models.{about['tiny_models']['module']}")
    classes = models.mapped()[architecture]
    cls = getattr(transformers, classes if isinstance(classes, str) else classes[0])
    config = transformers.AutoConfig.for_model(architecture, **getattr(models, "PUBLISHED", {}).get(architecture, {}))
    refusal = outputs.refuse(cls, config.to_dict())
    if refusal:
        return {"size": None, "onnx": onnx_check.not_checked(refusal)}
    parts = [config, *(getattr(config, name, None) for name in ("vision_config", "backbone_config"))]
    named = (part.image_size for part in parts if getattr(part, "image_size", None))
    side = next(named, about["tiny_models"]["size"])
    size = list(side) if isinstance(side, (list, tuple)) else [side, side]
    patch = getattr(config, "patch_size", None)
    found = onnx_check.check(
        cls, config, size, 3, patch if isinstance(patch, int) else None, outputs, about["onnx_outputs"]
    )
    return {"size": size, "onnx": found}


def take(python: str, task: str, architecture: str) -> dict[str, Any]:
    """Measure an architecture in a process of its own."""
    arguments = ["-m", "benchmarks.published_sizes", "--task", task, "--measure", architecture]
    started = time.monotonic()
    try:
        done = processes.run(python, *arguments, timeout=LONGEST)
        lines = [line for line in done.stdout.splitlines() if line.startswith(_MEASURED)]
        last = (done.stderr.strip() or f"ended with status {done.returncode}").splitlines()[-1]
    except subprocess.TimeoutExpired:
        lines, last = [], f"no end after {LONGEST} s"
    found = (
        json.loads(lines[-1].removeprefix(_MEASURED)) if lines else {"size": None, "onnx": {"ok": False, "error": last}}
    )
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def architectures(python: str, task: str) -> list[str]:
    """Return the architectures that the runtime's transformers maps to a task."""
    module = tasks.task(ROOT, task)["tiny_models"]["module"]
    code = f"import json; from tests.support.models import {module}; print(json.dumps(sorted({module}.mapped())))"
    done = processes.run(python, "-c", code)
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def row(task: str, architecture: str, result: dict[str, Any]) -> str:
    """Return a line of the table."""
    size = "x".join(map(str, result["size"])) if result["size"] else ""
    onnx = result["onnx"]
    cells = cells_of_export(onnx) if onnx["ok"] else [""] * 3
    note = "" if onnx["ok"] else f"**refused**: {cell(onnx['error'])}"
    return f"| {task} | {architecture} | {size} | {' | '.join(cells)} | {result['seconds']:.0f} | {note} |"


def main() -> int:
    """Measure one task or all; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measured = tasks.with_tiny_models(ROOT)
    parser.add_argument("--task", choices=measured, help="this task alone; no document is written")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these architectures of one task")
    parser.add_argument("--resume", action="store_true", help="keep the results of architectures that are done")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many architectures at a time")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(_MEASURED + json.dumps(measure(args.task, args.measure)))
        return 0
    if args.only and not args.task:
        parser.error("--only needs --task, which says whose architectures they are")
    runtime = get_runtime("local")
    runtime.prepare()
    rows = []
    for task in [args.task] if args.task else measured:
        names = args.only or architectures(str(runtime.python), task)
        taken = processes.side_by_side(
            partial(take, str(runtime.python), task), names, RESULTS / task, jobs=args.jobs, resume=args.resume
        )
        for architecture, found in taken:
            rows.append(row(task, architecture, found))
            print(rows[-1], flush=True)
    if not args.task:
        DOCUMENT.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
