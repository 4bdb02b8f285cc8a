"""The cache keys of inspection and proof: what was found is worth nothing once any code that found it has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tao_hf.base.paths import TEMPLATE
from tao_hf.inspection import code_digest, inspect, proof
from tests.support.copies import make_vit
from tests.support.paths import HOOKS, ROOT

STAND_INS = ("standins/tao_pytorch", "standins/modules")
PROBE, PROVE = "tao_hf.in_runtime.probe.run", "tao_hf.in_runtime.prove.run"
MAKE_YOLOS = """
import sys, torch
from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor
config = YolosConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, patch_size=16,
                     image_size=[64, 64], num_detection_tokens=5, id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1})
YolosForObjectDetection(config).save_pretrained(sys.argv[1])
YolosImageProcessor(size={"height": 64, "width": 64}).save_pretrained(sys.argv[1])
"""


def digested(entry: str, root: Path = TEMPLATE) -> set[str]:
    """Return the files that a key covers, relative to the template's root."""
    folders = [root / name for name in STAND_INS] if entry == PROVE else []
    return {path.relative_to(root).as_posix() for path in code_digest.files(root, entry, folders)}


@pytest.fixture(scope="module")
def read(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return, by module that is started, the template's files that a classifier and a detector made it read."""
    folder = tmp_path_factory.mktemp("code")
    classifier, detector = make_vit(runtime_python, folder / "vit", ["a", "b", "c"]), folder / "yolos"
    python = [str(runtime_python), "-W", "ignore"]
    subprocess.run([*python, "-c", MAKE_YOLOS, str(detector)], check=True, capture_output=True)
    path = [ROOT, HOOKS, *(TEMPLATE / name for name in STAND_INS)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    found: dict[str, set[str]] = {PROBE: set(), PROVE: set()}
    for model in (classifier, detector):
        out = model.with_suffix(".json")
        for entry, stage in ((PROBE, "probe"), (PROVE, "prove")):
            command = [*python, "-m", "tests.support.code_cases", stage, str(model), str(out)]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            found[entry] |= set(json.loads(out.read_text(encoding="utf-8"))["read"])
        assert json.loads(out.read_text(encoding="utf-8"))["measured"]
    return found


@pytest.mark.runtime
@pytest.mark.slow
@pytest.mark.parametrize("entry", [PROBE, PROVE])
def test_all_that_is_read_is_in_the_key(read: dict[str, set[str]], entry: str) -> None:
    assert len(read[entry]) > 15, "nothing was recorded"
    assert read[entry] <= digested(entry)
    if entry == PROVE:
        kinds = {name.partition("/")[0] for name in read[entry]}
        assert kinds == {"hooks", "networks", "tasks", "standins", "template"}
        assert any("families/vit.py" in name for name in read[entry])
        assert sum(name.endswith(".jinja") for name in read[entry]) >= 5


@pytest.mark.runtime
@pytest.mark.slow
@pytest.mark.parametrize("entry", [PROBE, PROVE])
def test_a_change_of_any_file_that_is_read_changes_the_key(
    read: dict[str, set[str]], entry: str, tmp_path: Path
) -> None:
    root = tmp_path / "template"
    for name in digested(entry):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATE / name, root / name)
    folders = [root / name for name in STAND_INS] if entry == PROVE else []

    def key() -> str:
        return code_digest.compute(root, entry, folders)

    before = key()
    for name in sorted(read[entry]):
        kept = (root / name).read_bytes()
        (root / name).write_bytes(kept + (b"{# #}" if name.endswith(".jinja") else b"\n# changed\n"))
        assert key() != before, name
        (root / name).write_bytes(kept)
    assert key() == before


@pytest.mark.parametrize("entry", [PROBE, PROVE])
def test_what_does_not_run_is_not_in_the_key(entry: str) -> None:
    found = digested(entry)
    assert not [name for name in found if name.endswith(".md") or name.startswith(("tests/", "docs/", "copier.yml"))]
    assert not [name for name in found if "/lifecycle/" in name or "/selftest/" in name or "/in_runtime/check/" in name]
    assert not [name for name in found if name.endswith("default_config.py.jinja")]


def test_a_new_family_changes_the_key(tmp_path: Path) -> None:
    for name in digested(PROVE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATE / name, tmp_path / name)
    before = code_digest.compute(tmp_path, PROVE)
    (tmp_path / "README.md").write_text("changed", encoding="utf-8")
    assert code_digest.compute(tmp_path, PROVE) == before
    (tmp_path / "networks/backbone/families/new.py").write_text("MODEL_TYPES = ()\n", encoding="utf-8")
    assert code_digest.compute(tmp_path, PROVE) != before


def test_the_keys_use_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    ref = inspect.parse_model(str(tmp_path))
    keys = set()
    for code in ("one", "other", "one"):
        monkeypatch.setattr(code_digest, "digest", lambda *_, code=code: code)
        keys.add((inspect._key(ref, None), proof._key({"findings": {}}, tmp_path)))
    assert len(keys) == 2


@pytest.mark.parametrize("entry", [PROBE, PROVE])
def test_it_takes_no_time(entry: str) -> None:
    best = min(_seconds(entry) for _ in range(3))
    assert best < 0.3


def _seconds(entry: str) -> float:
    """Return the time of the processor, which other processes do not lengthen."""
    started = time.process_time()
    code_digest.compute(TEMPLATE, entry, [TEMPLATE / name for name in STAND_INS])
    return time.process_time() - started
