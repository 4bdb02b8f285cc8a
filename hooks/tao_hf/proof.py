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

from tao_hf import scratch
from tao_hf.cache import cache_dir, write_atomic
from tao_hf.errors import UserError
from tao_hf.progress import step
from tao_hf.rendering import one_line
from tao_hf.runtime import get_runtime

STRATEGIES = ("reuse", "timm", "hf")  # in the order of preference
_TIME_LIMIT_SECONDS = 1800.0
_MOST_WEIGHTS = 2_000_000_000  # bytes of a checkpoint that the proof still reads
_ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "hooks/tao_hf/inside/prob*.py",
    "hooks/tao_hf/inside/prov*.py",
    "networks/backbone/families/*.py",
    "networks/**/*.jinja",
    "tasks/*/runtime/outputs.py",
    "tasks/*/tao-pytorch/**/model/network.py.jinja",
)
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
        and ``sizes``; ``plans``: by strategy, what the templates need of the one that passed; ``weights``:
        "random" or
        "own"; ``against``: "tao-pytorch" or why the stand-in took its place.

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
    place = scratch.folder(keep_scratch)
    with contextlib.closing(get_runtime(runtime_kind, place)) as runtime:
        runtime.prepare()
        own = Path(tempfile.mkdtemp(dir=place, prefix="proof-"))
        asked, found, log = own / "request.json", own / "result.json", own / "proof.log"
        request["weights"] = runtime.path(findings["hf_model_id"]) if _has_weights(findings) else None
        asked.write_text(json.dumps(request), encoding="utf-8")
        code = runtime.path(_ROOT / "hooks" / "tao_hf" / "inside" / "prove.py")
        argv = ["python", code, runtime.path(_ROOT), runtime.path(asked), runtime.path(found)]
        paths = [runtime.path(repos[name]) for name in ("tao-core", "tao-pytorch")]
        with step("Proving that the network gives the model's numbers") as shown:
            done = runtime.run(
                argv,
                context="inspect",
                env={"PYTHONPATH": os.pathsep.join(paths)},
                cwd=own,
                log=log,
                on_line=shown.detail,
                timeout=_TIME_LIMIT_SECONDS,
            )
            if done.returncode or not found.is_file():
                kept = cache_dir("proofs") / f"{file.stem}.log"
                write_atomic(kept, log.read_text(encoding="utf-8"))
                last = (done.tail.strip().splitlines() or ["no output"])[-1]
                raise UserError(f"The proof of the backbone broke ({one_line(last)}); its log is {kept}.")
        result = json.loads(found.read_text(encoding="utf-8"))
    write_atomic(file, json.dumps(result, indent=1))
    return result


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


def settled(proofs: Mapping[str, Any], strategy: str) -> str:
    """Return the strategy that an answer stands for: ``auto`` is the first that passed.

    Raises:
        UserError: It did not pass, or was not tried.
    """
    if strategy == "auto":
        passed = [name for name in STRATEGIES if proofs["tried"].get(name, {}).get("passed")]
        if passed:
            return passed[0]
        reasons = "; ".join(f"{name}: {one_line(entry['reason'])}" for name, entry in proofs["tried"].items())
        raise UserError(f"No strategy serves this model ({reasons}).")
    problem = strategy_problem(proofs, strategy)
    if problem:
        raise UserError(problem)
    return strategy


def strategy_problem(proofs: Mapping[str, Any], strategy: str) -> str | None:
    """Return why a strategy cannot be had, or `None`."""
    entry = proofs["tried"].get(strategy)
    if entry is None:
        return (
            f"strategy={one_line(strategy)} was not proven for this model: run copier copy with --data "
            f"strategy={one_line(strategy)}, which merges like an update."
        )
    if entry["passed"]:
        return None
    return f"strategy={strategy} does not serve this model: {one_line(entry['reason'], 400)}."


def size_problem(proofs: Mapping[str, Any], strategy: str, native: Sequence[int], size: Sequence[int]) -> str | None:
    """Return why the backbone cannot have an input size, [height, width] in pixels, or `None`."""
    if list(size) == list(native) or proofs["plans"][strategy]["other_size"]:
        return None
    return (
        f"image_size must be {native[0]} x {native[1]} pixels for this model with strategy={strategy}: at another size "
        "it does not run, or does not give the Hugging Face model's numbers."
    )


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
    for pattern in _CODE:
        for file in sorted(_ROOT.glob(pattern)):
            digest.update(file.read_bytes())
    for file in sorted((tao_pytorch / _BACKBONES).rglob("*.py")):
        if file.name != "__init__.py" and not file.name.startswith("hf_"):  # what models of ours add or change
            digest.update(file.read_bytes())
    return digest.hexdigest()[:24]
