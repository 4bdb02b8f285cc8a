"""Inspect a Hugging Face model once, keep what was found, and say in one sentence why it cannot be used."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tao_hf.base import atomic
from tao_hf.base.cache import cache_dir
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import activity
from tao_hf.inspection import code_digest, scratch
from tao_hf.runtime import local
from tao_hf.runtime.kinds import get_runtime

_ENTRY = "tao_hf.in_runtime.probe.run"
_PROBE_FAILED = 3
_TIME_LIMIT_SECONDS = 900.0
_BRANCH_LIFETIME_SECONDS = 3600.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_DIGESTED_FILES = ("config.json", "preprocessor_config.json", "processor_config.json", "model.safetensors.index.json")


@dataclass(frozen=True)
class ModelRef:
    """A model as the person named it.

    Attributes:
        kind: "hub" or "local".
        name: the Hub id, or the directory's absolute path.
        revision: branch, tag or commit from a Hub URL; None otherwise.
    """

    kind: str
    name: str
    revision: str | None = None


def parse_model(text: str) -> ModelRef:
    """Tell a Hub id, a Hub URL and a local directory apart.

    Args:
        text: what the person typed: "google/vit-base-patch16-224", "https://huggingface.co/org/name", "./model".

    Raises:
        UserError: when it is none of them.
    """
    text = text.strip()
    if not text:
        raise UserError("hf_model_id is empty; give a Hub id, a Hub URL or a directory made by save_pretrained.")
    if "://" in text:
        return _parse_url(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return ModelRef("local", str(path.resolve()))
    looks_like_path = text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text
    if looks_like_path or path.is_file():
        raise UserError(f"There is no directory {_shown(text)}; give one made by save_pretrained, or a Hub id.")
    if not _HUB_ID.fullmatch(text) or ".." in text or "--" in text:
        raise UserError(f"{_shown(text)} is neither a directory nor a Hub id such as google/vit-base-patch16-224.")
    return ModelRef("hub", text)


def _parse_url(text: str) -> ModelRef:
    url = urlsplit(text)
    own = urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc
    parts = [unquote(part) for part in url.path.split("/") if part]
    if url.scheme not in ("http", "https") or url.netloc.rpartition("@")[2] not in (*_HOSTS, own) or not parts:
        raise UserError(f"{_shown(text)} is not a URL of the Hub; give https://huggingface.co/<org>/<name>.")
    if parts[0] in ("datasets", "spaces", "collections", "papers", "docs"):
        raise UserError(f"{_shown(text)} is no model but one of the Hub's {parts[0]}; give a model's URL.")
    cut = next((index for index, part in enumerate(parts) if part in ("tree", "blob", "resolve", "commit")), len(parts))
    name, rest = "/".join(parts[:cut]), parts[cut + 1 :]
    if parts[cut : cut + 1] in (["blob"], ["resolve"]):
        rest = rest[:1]
    revision = "/".join(rest) or None
    if not _HUB_ID.fullmatch(name) or (revision and not re.fullmatch(r"[\w./-]{1,120}", revision, re.ASCII)):
        raise UserError(f"{_shown(text)} names no model; give https://huggingface.co/<org>/<name>.")
    return ModelRef("hub", name, revision)


def inspect_model(
    hf_model_id: str,
    runtime_kind: str = "auto",
    *,
    task_type: str | None = None,
    accept_labels: bool = False,
    keep_scratch: bool = False,
) -> dict[str, Any]:
    """Return what is known about a model; the probe runs once per model, task, revision and its own version.

    Findings of a Hub branch are trusted for an hour, those of a commit and of an unchanged directory for good.

    Args:
        hf_model_id: Hub id, Hub URL or directory.
        runtime_kind: "auto", "local" or "docker".
        task_type: the task that the model is to be for; None for the likeliest of those that it can be for.
        accept_labels: return the findings even when the label names repeat or are empty (`label_problem` then says
            so): right when the person brings classes of their own.
        keep_scratch: keep what a container downloaded, for the next inspection.

    Raises:
        UserError: one sentence saying what is wrong and what to do.
    """
    ref = parse_model(hf_model_id)
    file = cache_dir("findings") / f"{_key(ref, task_type)}.json"
    findings = _cached(file, ref)
    if findings is None:
        try:
            findings = _probe(ref, task_type, file, runtime_kind, keep_scratch)
        except OSError as error:
            raise UserError(
                f"The findings cannot be kept in {file.parent} ({error.strerror}); free space or set TAO_HF_CACHE."
            ) from error
        except UnreachableError as error:
            findings = _cached(file, ref, any_age=True)
            if findings is None:
                raise UserError(str(error)) from error
    if findings.get("label_problem") and not accept_labels:
        raise UserError(
            f"The label names of {_shown(ref.name)} cannot be used: {findings['label_problem']}; correct id2label in "
            "the config.json of a local copy, or set num_labels to the number of your own classes."
        )
    return findings


def full_report_path(findings: dict[str, Any]) -> Path:
    """Return the file with the findings and every checkpoint tensor's name, shape, dtype and part."""
    ref = ModelRef(findings["source"], findings["hf_model_id"], findings.get("requested_revision"))
    return _report(cache_dir("findings") / f"{_key(ref, findings.get('requested_task'))}.json")


class UnreachableError(UserError):
    """The Hub could not be reached; findings from before may still do."""


def _probe(ref: ModelRef, task_type: str | None, file: Path, runtime_kind: str, keep_scratch: bool) -> dict[str, Any]:
    place = scratch.folder(keep_scratch)
    with contextlib.closing(get_runtime(runtime_kind, place)) as runtime:
        runtime.prepare()
        own = Path(tempfile.mkdtemp(dir=place, prefix="run-"))  # two inspections may share the kept scratch folder
        found, report, log = own / "findings.json", own / "report.json", own / "probe.log"
        model = runtime.path(ref.name) if ref.kind == "local" else ref.name
        argv = [
            "python",
            "-m",
            _ENTRY,
            ref.kind,
            model,
            ref.revision or "",
            task_type or "",
            runtime.path(found),
            runtime.path(report),
        ]
        with activity(f"inspecting {_shown(ref.name)}") as shown:
            done = runtime.run(
                argv,
                context="inspect",
                env={"PYTHONPATH": f"{runtime.path(TEMPLATE)}/hooks"},
                cwd=own,
                log=log,
                on_line=shown.detail,
                timeout=_TIME_LIMIT_SECONDS,
            )
            if done.returncode == _PROBE_FAILED:
                raise _explained(json.loads(found.read_text(encoding="utf-8"))["error"])
            if done.returncode or not found.is_file() or not report.is_file():
                kept = file.with_suffix(".log")
                atomic.write(kept, log.read_text(encoding="utf-8"))
                last = (done.tail.strip().splitlines() or ["no output"])[-1]
                raise UserError(f"The inspection of {_shown(ref.name)} broke ({_shown(last)}); its log is {kept}.")
        findings = json.loads(found.read_text(encoding="utf-8"))
        findings |= {"hf_model_id": ref.name, "requested_revision": ref.revision, "requested_task": task_type}
        atomic.write(_report(file), report.read_text(encoding="utf-8"))
    atomic.write(file, json.dumps(findings, indent=1))
    return findings


def _explained(error: dict[str, str]) -> UserError:
    sort = UnreachableError if error["kind"] == "no_network" else UserError
    return sort(error["message"])


def _cached(file: Path, ref: ModelRef, any_age: bool = False) -> dict[str, Any] | None:
    try:
        findings = json.loads(file.read_text(encoding="utf-8"))
        age = time.time() - file.stat().st_mtime
    except (OSError, ValueError):
        return None
    lasting = ref.kind == "local" or bool(_COMMIT.fullmatch(ref.revision or ""))
    fresh = any_age or lasting or age < _BRANCH_LIFETIME_SECONDS
    return findings if fresh and _report(file).is_file() else None


def _report(file: Path) -> Path:
    return file.with_suffix(".report.json")


def _key(ref: ModelRef, task_type: str | None) -> str:
    """Return the name of the cache entry: model, revision, task, contents of a directory, and the probe itself."""
    digest = hashlib.sha256(json.dumps([ref.kind, ref.name, ref.revision, task_type]).encode())
    if ref.kind == "hub":
        digest.update(os.environ.get("HF_ENDPOINT", "").encode())
    else:
        _digest_directory(Path(ref.name), digest)
    digest.update(code_digest.digest(_ENTRY).encode())
    digest.update(local.chosen().encode())
    return digest.hexdigest()[:24]


def _digest_directory(folder: Path, digest: Any) -> None:
    """Feed what the probe reads of a directory: the small files whole, of safetensors files the header and the size."""
    try:
        for name in _DIGESTED_FILES:
            file = folder / name
            digest.update(file.read_bytes() if file.is_file() else b"-")
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(f"{file.name} {file.stat().st_size}".encode())
            with file.open("rb") as stream:
                start = stream.read(8)
                length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
                digest.update(start + stream.read(min(length, 100 * 2**20)))
        digest.update(b"bin" if any(folder.glob("pytorch_model*")) else b"-")
    except OSError as error:
        raise UserError(f"The model in {_shown(str(folder))} cannot be read: {error.strerror}.") from error


def _shown(text: str) -> str:
    """Return strangers' text fit for one line of a terminal."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= 160 else line[:159] + "…"
