"""Prove a tiny model of every architecture in one process of the runtime: `coverage_cases.py ROOT MODELS OUT TABLE`.

Run by the fixture `proven` in test_coverage.py, which puts tao-pytorch, real or stand-in, on PYTHONPATH.
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


def main(root: Path, models: Path, out: Path, table: Path) -> None:
    """Make, inspect and prove; write {name: {"refused": sentence} or the proof or {"crashed": traceback}}."""
    folders = ("hooks/tao_hf/inside", "tests", "networks/backbone", "hooks")
    sys.path[:0] = [str(root / folder) for folder in folders]
    import probe
    import prove
    from tao_hf.rendering import template_vars

    tiny = importlib.import_module(str(table))

    def taken(name: str) -> dict[str, Any]:
        tiny.make(name, models / name)
        findings = models / f"{name}.json"
        if probe.main(["local", str(models / name), "", str(findings), str(models / f"{name}.report")]):
            return {"refused": json.loads(findings.read_text(encoding="utf-8"))["error"]["message"]}
        found = json.loads(findings.read_text(encoding="utf-8"))
        about = template_vars.task(root, found["task_type"])
        request = {
            "findings": found,
            "strategies": about["strategies"],
            "registered": None,
            "weights": None,
            "network": about["network"],
        }
        return prove.prove(root, request)

    results = {}
    for name, row in tiny.TINY.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                results[name] = {"model_type": row.model_type, **taken(name)}
        except Exception:
            results[name] = {"model_type": row.model_type, "crashed": traceback.format_exc(limit=-4)}
    about = {"mapped": sorted(tiny.mapped()), "missing": tiny.missing()}
    out.write_text(json.dumps({**about, "results": results}), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
