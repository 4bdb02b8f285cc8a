"""Inspect and prove in the runtime, and tell what was read for it.

    python -m tests.support.code_cases STAGE MODEL OUT

Run by test_code_digest.py. STAGE is "probe" or "prove", MODEL a saved model. Every file below the template's root that
is opened or imported is written to OUT, with the findings.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

sys.dont_write_bytecode = True  # so that the sources are read, not what is kept of them


def main(stage: str, model: str, out: Path) -> None:
    """Run one stage; see the module."""
    opened: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            opened.add(arguments[0])

    sys.addaudithook(watch)
    found = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    if stage == "probe":
        from tao_hf.in_runtime.probe import run

        with tempfile.TemporaryDirectory() as folder:
            findings = Path(folder) / "findings"
            assert run.main(["local", model, "", "", str(findings), str(Path(folder) / "report")]) == 0
            found["findings"] = json.loads(findings.read_text(encoding="utf-8"))
    else:
        from tao_hf.in_runtime.prove import run

        whole = found["findings"]["task_type"] != "image-classification"
        request = {
            "findings": found["findings"],
            "strategies": ["hf"] if whole else ["reuse", "timm", "hf"],
            "registered": None if whole else [],
            "weights": None,
            "network": "whole" if whole else "backbone",
        }
        with tempfile.TemporaryDirectory() as folder:
            asked, result = Path(folder) / "asked", Path(folder) / "result"
            asked.write_text(json.dumps(request), encoding="utf-8")
            assert run.main([str(asked), str(result)]) == 0
            found["measured"] = json.loads(result.read_text(encoding="utf-8"))["measured"]
    loaded = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    paths = {Path(name) for name in loaded | opened if name.startswith(str(ROOT / ""))}
    code = {path for path in paths if path.suffix in (".py", ".jinja", ".yml", ".json") and path.is_file()}
    names = {path.relative_to(ROOT).as_posix() for path in code}
    found["read"] = sorted(name for name in names if not name.startswith("tests/"))
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
