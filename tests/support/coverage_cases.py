"""Prove a tiny model of every architecture in one process of the runtime.

    python -m tests.support.coverage_cases MODELS OUT TABLE [NAMES...]

Run by the fixtures of test_coverage.py, which puts tao-pytorch, real or stand-in, on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime.probe import run as probe
from tao_hf.in_runtime.prove import run as prove
from tao_hf.rendering import tasks
from tests.support.models.tables import task_of


def main(models: Path, out: Path, table: str, names: list[str]) -> None:
    """Make, inspect and prove the named, or all; write by name the proof, {"refused": sentence} or {"crashed": …}."""
    tiny = importlib.import_module(f"tests.support.models.{table}")
    task = task_of(table)

    def taken(name: str) -> dict[str, Any]:
        tiny.make(name, models / name)
        findings = models / f"{name}.json"
        if probe.main(["local", str(models / name), "", task, str(findings), str(models / f"{name}.report")]):
            return {"refused": json.loads(findings.read_text(encoding="utf-8"))["error"]["message"]}
        found = json.loads(findings.read_text(encoding="utf-8"))
        about = tasks.task(TEMPLATE, found["task_type"])
        request = {
            "findings": found,
            "strategies": about["strategies"],
            "registered": None,
            "weights": None,
            "network": about["network"],
        }
        return prove.prove(request)

    results = {}
    for name in names or tiny.TINY:
        row = tiny.TINY[name]
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                results[name] = {"model_type": row.model_type, **taken(name)}
        except Exception:
            results[name] = {"model_type": row.model_type, "crashed": traceback.format_exc(limit=-4)}
    about = {"mapped": sorted(tiny.mapped()), "missing": tiny.missing()}
    out.write_text(json.dumps({**about, "results": results}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
