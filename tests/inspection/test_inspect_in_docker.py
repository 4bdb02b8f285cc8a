"""The inspection in its container `tao-hf-inspect`, on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.inspection.inspect import inspect_model
from tao_hf.runtime import engine as docker
from tests.support.somebody import UID, Somebody
from tests.support.stub_hub import StubHub, StubModel

pytestmark = [pytest.mark.docker, pytest.mark.runtime, pytest.mark.usefixtures("engine", "prepared", "no_leftovers")]
TOKEN = "hf_gate_secret"  # noqa: S105 (the stub's)
INSPECT = """
import json, sys
from tao_hf.base.errors import UserError
from tao_hf.inspection.inspect import inspect_model
try:
    findings = inspect_model(sys.argv[1], "docker", keep_scratch=len(sys.argv) > 2)
except UserError as error:
    sys.exit(f"refused: {error}")
print(json.dumps(findings))
"""

LOOK = """
import subprocess, sys
from pathlib import Path
from tao_hf.runtime.kinds import get_runtime
runtime = get_runtime("docker", Path(sys.argv[1]))
folder = runtime.path(sys.argv[2])
look = 'id -u; pwd; echo $HF_HOME; ls "$0" | head -1; touch made; touch "$0/new" 2>/dev/null || echo read-only'
lines = []
runtime.run(["sh", "-c", look, folder], context="inspect", on_line=lines.append)
print(subprocess.run(["docker", "ps", "--format", "{{.Names}}"], capture_output=True, text=True).stdout.strip())
print(*lines, sep="\\n")
runtime.close()
"""


def inspections() -> list[str]:
    return docker.run("ps", "--all", "--filter", "name=tao-hf-inspect", "--format", "{{.Names}}").split()


@pytest.fixture
def model(tiny_vit: Path, somebody: Somebody) -> Path:
    """Return a small classifier in a folder of the user's."""
    return somebody.own(Path(shutil.copytree(tiny_vit, somebody.home / "tiny-vit")))


def test_same_findings_as_the_local_runtime(model: Path, somebody: Somebody, tmp_path: Path) -> None:
    """Run by a user who is not root: the findings agree, the scratch folder goes, nothing belongs to root."""
    status, said = somebody.run(INSPECT, model)
    assert status == 0, said
    found = json.loads(said.strip().splitlines()[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAO_HF_CACHE", str(tmp_path))
        runtimes = Path.home() / ".cache" / "tao-hf-template" / "runtimes"
        if runtimes.is_dir():
            (tmp_path / "runtimes").symlink_to(runtimes)
        expected = inspect_model(str(model), "local")
    measured = {"seconds", "onnx", "preprocess_max_abs_diff"}
    assert not {key for key in expected if expected[key] != found[key]} - measured
    assert found["onnx"]["ok"] and found["onnx"]["exporter"] == expected["onnx"]["exporter"]
    assert not list((somebody.home / "cache" / "scratch").iterdir())
    assert not [path for path in (somebody.home / "cache").rglob("*") if path.lstat().st_uid != UID]
    assert not inspections()


def test_container_as_the_procedure_wants_it(model: Path, somebody: Somebody) -> None:
    """Name, user, scratch folder at /workspace, Hugging Face's home in it; the model can be read but not written."""
    scratch = somebody.home / "scratch"
    scratch.mkdir()
    somebody.own(scratch)
    status, said = somebody.run(LOOK, scratch, model)
    assert status == 0, said
    name, *inside = said.splitlines()
    assert name == "tao-hf-inspect"
    assert inside == [str(UID), "/workspace", "/workspace/cache", "config.json", "read-only"]
    assert (scratch / "made").stat().st_uid == UID


def test_scratch_folder_is_kept_when_asked(model: Path, somebody: Somebody) -> None:
    """The probe's log, and in python:3.12-slim the packages, stay for the next time in a folder of the user's."""
    status, said = somebody.run(INSPECT, model, "keep")
    assert status == 0, said
    kept = somebody.home / "cache" / "scratch" / "kept"
    assert "reading the configuration" in next(kept.glob("run-*/probe.log")).read_text()
    assert not [path for path in kept.rglob("*") if path.lstat().st_uid != UID]


def test_gated_model(tiny_vit: Path, somebody: Somebody) -> None:
    """Without HF_TOKEN one sentence; with it the token reaches the Hub from inside, and nothing else sees it."""
    with StubHub({"acme/gated": StubModel(tiny_vit, gated=True, token=TOKEN)}) as hub:
        env = {"HF_ENDPOINT": hub.url, "TAO_HF_DOCKER_ARGS": "--network host"}
        status, said = somebody.run(INSPECT, "acme/gated", env=env)
        assert status == 1
        assert "refused:" in said and "HF_TOKEN" in said and "Traceback" not in said
        assert not inspections()
        status, said = somebody.run(INSPECT, "acme/gated", env={**env, "HF_TOKEN": TOKEN})
        assert status == 0, said
        assert f"Bearer {TOKEN}" in hub.authorizations
    assert TOKEN not in said
    for file in (somebody.home / "cache").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(model: Path, somebody: Somebody, number: signal.Signals) -> None:
    """Ctrl-C and a kill leave no container behind, and the next inspection works."""
    process = somebody.start(INSPECT, model)
    while not inspections():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    end = time.monotonic() + 20
    while inspections():
        assert time.monotonic() < end, "the container is still there"
        time.sleep(0.1)
    assert not [path for path in (somebody.home / "cache").rglob("*") if path.lstat().st_uid != UID]


def test_two_at_once(model: Path, somebody: Somebody) -> None:
    """Each has a container of its own, and both finish."""
    other = somebody.own(Path(shutil.copytree(model, somebody.home / "other-vit")))
    processes = [somebody.start(INSPECT, folder) for folder in (model, other)]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, len(inspections()))
        time.sleep(0.1)
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert most == 2


def test_without_tao_images(
    model: Path, somebody: Somebody, fallback_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python:3.12-slim gets what the probe needs into the scratch folder, not into the image or the host."""
    monkeypatch.setenv("TAO_HF_IMAGE_TAG", "not-prepared")
    status, said = somebody.run(INSPECT, model, "keep")
    assert status == 0, said
    assert json.loads(said.strip().splitlines()[-1])["model_type"] == "vit"
    installed = list((somebody.home / "cache" / "scratch" / "kept" / ".local").rglob("*.dist-info"))
    assert installed, "pip installed nothing into the bind-mounted home"
    assert not [path for path in (somebody.home / "cache").rglob("*") if path.lstat().st_uid != UID]


def test_no_daemon(tmp_path: Path, tiny_vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setenv("TAO_HF_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"daemon does not answer .* start it"):
        inspect_model(str(tiny_vit), "docker")
