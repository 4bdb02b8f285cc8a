"""Which way to the backbone gives the Hugging Face model's numbers: proven once per model, clones and template."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_hf.base import atomic
from tao_hf.base.cache import cache_dir
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import activity
from tao_hf.base.text import one_line
from tao_hf.inspection import code_digest, scratch
from tao_hf.runtime import local
from tao_hf.runtime.kinds import get_runtime

_NO_TAO = 3  # how the proof ends where tao-pytorch cannot be imported
_TIME_LIMIT_SECONDS = 1800.0
_MOST_WEIGHTS = 2_000_000_000  # bytes of a checkpoint that the proof still reads
_ENTRY = "tao_hf.in_runtime.prove.run"
_STAND_IN = "standins/tao_pytorch"  # where the person's tao-pytorch cannot be imported
_MODULES = "standins/modules"  # for what is not there
_BACKBONES = "nvidia_tao_pytorch/cv/backbone_v2"


def prove(
    findings: Mapping[str, Any],
    about: Mapping[str, Any],
    repos: Mapping[str, Path],
    registered: Sequence[str],
    strategy: str,
    runtime_kind: str,
    keep_scratch: bool = False,
) -> dict[str, Any]:
    """Return what the proofs of a model gave.

    Args:
        findings: What the inspection found.
        about: What its task's ``task.yml`` says: ``strategies`` and ``network``.
        repos: Where tao-core and tao-pytorch can be read.
        registered: Files of backbone_v2, relative to it, that register backbones.
        strategy: "auto" for the first that passes, else the one to prove.
        runtime_kind: "local" or "docker".
        keep_scratch: Keep what a container downloaded.

    Returns:
        ``tried``: by strategy, ``passed``, ``reason``, ``difference`` (largest, as a part of the largest logit),
        and ``sizes``; ``measured``: by strategy, what was measured of the one that passed, which the
        templates need; ``weights``: "random" or "own"; ``against``: "tao-pytorch" or why the stand-in took its place.

    Raises:
        UserError: The proof could not be run.
    """
    if strategy not in ("auto", *about["strategies"]):
        usable = " or ".join(("auto", *about["strategies"]))
        raise UserError(
            f"strategy={one_line(strategy)} is for backbones; {findings['task_type']} takes the Hugging Face model "
            f"with its heads and losses: choose {usable}."
        )
    request = {
        "findings": dict(findings),
        "strategies": list(about["strategies"]) if strategy == "auto" else [strategy],
        "registered": list(registered),
        "network": about["network"],
    }
    file = cache_dir("proofs") / f"{_key(request, repos['tao-pytorch'])}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text(encoding="utf-8"))
    result = _run(request, repos, runtime_kind, keep_scratch, file.with_suffix(".log"))
    atomic.write(file, json.dumps(result, indent=1))
    return result


def _run(
    request: Mapping[str, Any], repos: Mapping[str, Path], runtime_kind: str, keep_scratch: bool, kept_log: Path
) -> dict[str, Any]:
    """Run the proof on the person's tao-pytorch, or on the stand-in where that cannot be imported."""
    place = scratch.folder(keep_scratch)
    with contextlib.closing(get_runtime(runtime_kind, place)) as runtime:
        runtime.prepare()
        own = Path(tempfile.mkdtemp(dir=place, prefix="proof-"))
        asked, found, log = own / "request.json", own / "result.json", own / "proof.log"
        findings = request["findings"]
        weights = runtime.path(findings["hf_model_id"]) if _has_weights(findings) else None
        asked.write_text(json.dumps({**request, "weights": weights}), encoding="utf-8")
        template = runtime.path(TEMPLATE)
        argv = ["python", "-m", _ENTRY, runtime.path(asked), runtime.path(found)]
        against = "tao-pytorch"
        with activity("Proving that the network gives the model's numbers") as shown:
            for tao_pytorch in (runtime.path(repos["tao-pytorch"]), f"{template}/{_STAND_IN}"):
                # The modules that stand in for missing ones come last: what is really there goes first.
                path = [f"{template}/hooks", runtime.path(repos["tao-core"]), tao_pytorch, f"{template}/{_MODULES}"]
                done = runtime.run(
                    argv,
                    context="inspect",
                    env={"PYTHONPATH": os.pathsep.join(path)},
                    cwd=own,
                    log=log,
                    on_line=shown.detail,
                    timeout=_TIME_LIMIT_SECONDS,
                )
                last = one_line((done.tail.strip().splitlines() or ["no output"])[-1])
                if done.returncode != _NO_TAO:
                    break
                against = f"tao-pytorch cannot be imported here ({last})"
            if done.returncode or not found.is_file():
                atomic.write(kept_log, log.read_text(encoding="utf-8"))
                raise UserError(f"The proof of the backbone broke ({last}); its log is {kept_log}.")
        return {**json.loads(found.read_text(encoding="utf-8")), "against": against}


def describe(proofs: Mapping[str, Any]) -> str:
    """Return a line for each strategy that was tried, for the terminal."""
    lines = []
    for name, entry in proofs["tried"].items():
        if entry["passed"]:
            sizes = " and ".join("x".join(map(str, size)) for size in entry["sizes"])
            text = f"✓ differs by {entry['difference']:.1e} of the largest output, at {sizes} pixels"
        else:
            text = f"– {one_line(entry['reason'], 400)}"
        lines.append(f"  strategy {name:<8} {text}")
    if proofs["against"] != "tao-pytorch":
        lines.append(f"  (proven on the stand-in of tao-pytorch: {one_line(proofs['against'])})")
    return "\n".join(lines)


def _has_weights(findings: Mapping[str, Any]) -> bool:
    """Tell whether the model lies in a local folder with a checkpoint that fits it and can be read in little time."""
    entry = findings["checkpoint"]
    fits = entry["format"] == "safetensors" and not entry["missing"] and not entry["mismatched"]
    return findings["source"] == "local" and fits and entry["bytes"] <= _MOST_WEIGHTS


def _key(request: Mapping[str, Any], tao_pytorch: Path) -> str:
    """Return the name of the cache entry: the question, the code that answers it, and TAO's backbones."""
    digest = hashlib.sha256()
    findings = {name: value for name, value in request["findings"].items() if name != "seconds"}
    digest.update(json.dumps({**request, "findings": findings}, sort_keys=True).encode())
    digest.update(code_digest.digest(_ENTRY, TEMPLATE / _STAND_IN, TEMPLATE / _MODULES).encode())
    digest.update(local.chosen().encode())
    for file in sorted((tao_pytorch / _BACKBONES).rglob("*.py")):
        if file.name != "__init__.py" and not file.name.startswith("hf_"):  # what models of ours add or change
            digest.update(file.read_bytes())
    return digest.hexdigest()[:24]
