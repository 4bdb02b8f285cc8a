"""`copier copy` and the whole of phase 6 in containers, undisturbed and disturbed; on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tao_hf.runtime import engine as docker
from tests.support.clones import with_tao_pytorch
from tests.support.copies import MODEL, copier_copy
from tests.support.paths import in_runtime
from tests.support.somebody import UID, Somebody, heed_interrupts

DIGITS = "digits_vit"
SECRETS = {"HF_TOKEN": "hf_pipeline_secret", "NGC_KEY": "ngc_pipeline_secret"}
TRAINING = ("train.num_epochs=2", "train.checkpoint_interval=2", "dataset.batch_size=32")
CALL = """
import subprocess, sys
sys.exit(subprocess.run(["/usr/bin/python3", "./tao-hf", *sys.argv[2:]], cwd=sys.argv[1]).returncode)
"""

pytestmark = [
    pytest.mark.docker,
    pytest.mark.runtime,
    pytest.mark.slow,
    pytest.mark.usefixtures("engine", "prepared", "no_leftovers"),
]


def copied_in_containers(workdir: Path, model: Path, name: str, **answers: object) -> str:
    """Run `copier copy` with runtime=docker to a good end and return what it printed."""
    given = {"runtime": "docker", "without_gpu": True, "model_name": name, **answers}
    done = copier_copy(workdir, model, SECRETS, **given)
    assert done.returncode == 0, done.stdout
    return done.stdout


def start(workdir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start ./tao-hf as a person would."""
    return subprocess.Popen(
        ["./tao-hf", *arguments],
        cwd=workdir,
        env={**os.environ, **SECRETS, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_interrupts,
    )


def tao_hf(workdir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run ./tao-hf to its end; return its status and what it printed."""
    with start(workdir, *arguments, env=env) as process:
        said, _ = process.communicate(timeout=1200)
    return process.returncode, said


def report(workdir: Path, name: str = DIGITS) -> dict:
    return json.loads((workdir / ".tao-hf" / name / "report.json").read_text(encoding="utf-8"))


def states(workdir: Path, name: str = DIGITS) -> dict[str, str]:
    return {step["id"]: step["status"] for step in report(workdir, name)["steps"]}


def containers(workdir: Path) -> list[str]:
    label = f"label={docker.LABEL}.root={workdir}"
    return docker.run("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        if time.monotonic() > end:
            process.kill()
            pytest.fail(f"it did not come to that within {seconds:.0f} s")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def digits(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the demo's model and dataset."""
    home = tmp_path_factory.mktemp("digits")
    command = [str(runtime_python), "-m", "demo.make_inputs", "image-classification", home / "hf-model", home / "data"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **in_runtime()})
    return home / "hf-model", home / "data"


def test_digits_from_copy_to_cross_check_with_accidents(digits: tuple[Path, Path], tmp_path: Path) -> None:
    """Interrupted, then killed in mid-step, then resumed to an end where every step has passed."""
    model, data = digits
    workdir = tmp_path / "workdir"
    said = copied_in_containers(workdir, model, DIGITS)
    assert "Traceback" not in said
    full = ("test", DIGITS, "--full", "--data", str(data), "--set", *TRAINING)
    home = workdir / ".tao-hf" / DIGITS

    process = start(workdir, *full)
    wait_for((home / "logs" / "18.log").exists, process)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert states(workdir)["17"] == "passed" and states(workdir)["18"] == "failed"
    assert containers(workdir) == []

    process = start(workdir, "test", DIGITS, "--resume")
    log = home / "logs" / "22.train.log"
    wait_for(lambda: log.exists() and "Epoch" in log.read_text(errors="replace"), process)
    victim = next(name for name in containers(workdir) if "pytorch" in name)
    docker.run("kill", victim)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1, said
    assert "the container was stopped from outside" in said
    assert "likely cause" in said and "fix" in said
    assert states(workdir)["22.train"] == "failed" and states(workdir)["22.export"] == "skipped"
    assert containers(workdir) == []

    status, said = tao_hf(workdir, "test", DIGITS, "--resume")
    assert status == 0, said
    ended = states(workdir)
    assert {step for step, state in ended.items() if state != "passed"} == {"25"}, said
    found = report(workdir)
    assert found["runtime"] == "docker"
    assert {"tensorrt", "pycuda", "eff", "tao-pytorch"} <= set(found["stand_ins"])
    assert found["cross_check"]["agreement"] >= 0.995 and found["cross_check_fp16"]["agreement"] >= 0.98
    assert found["cross_check"]["images"] == 360
    assert containers(workdir) == []
    for file in (workdir / ".tao-hf").rglob("*"):
        if file.is_file():
            assert not [name for name, value in SECRETS.items() if value.encode() in file.read_bytes()], file


@pytest.fixture(scope="module")
def copied_tiny(tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory, prepared: object) -> Path:
    """Return a working directory made with runtime=docker; do not change it."""
    workdir = tmp_path_factory.mktemp("copied-docker") / "workdir"
    copied_in_containers(workdir, tiny_vit, MODEL, run_tests="none")
    return workdir


@pytest.fixture
def own_tiny(copied_tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(copied_tiny, tmp_path / "workdir", symlinks=True))


def test_person_who_is_not_root(own_tiny: Path, somebody: Somebody) -> None:
    """The tests pass, and nothing in the person's clones belongs to root afterwards."""
    workdir = somebody.own(Path(shutil.move(own_tiny, somebody.home / "workdir")))
    status, said = somebody.run(CALL, workdir, "test", MODEL, "--steps", "16-17,19,21,24")
    assert status == 0, said
    assert {state for step, state in states(workdir, MODEL).items() if step[:2] in ("16", "17", "19", "21", "24")} == {
        "passed"
    }
    assert not [path for path in workdir.rglob("*") if path.lstat().st_uid != UID]
    assert containers(workdir) == []


def test_disk_full_in_the_container(own_tiny: Path) -> None:
    """The failure says what it was and what to do; nothing is left running."""
    env = {"TAO_HF_DOCKER_ARGS": "--tmpfs /tmp:size=1m"}
    status, said = tao_hf(own_tiny, "test", MODEL, "--steps", "17", env=env)
    assert status == 1
    assert "No space left on device" in said
    assert "likely cause" in said
    assert containers(own_tiny) == []
    assert tao_hf(own_tiny, "test", MODEL, "--steps", "17")[0] == 0


def test_images_missing(own_tiny: Path) -> None:
    """Step 16 says which and how to get it; what needs the images is skipped."""
    status, said = tao_hf(own_tiny, "test", MODEL, "--full", env={"TAO_HF_IMAGE_TAG": "not-prepared"})
    assert status == 1
    assert "tao-pytorch-base:not-prepared" in said and "./tao-hf phase0" in said
    assert states(own_tiny, MODEL)["18"] == "skipped"


def test_daemon_down(own_tiny: Path) -> None:
    status, said = tao_hf(own_tiny, "test", MODEL, env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert status == 2
    assert "daemon does not answer" in said and "Traceback" not in said


def test_shell(own_tiny: Path) -> None:
    """A person gets a prompt in which the model's command works."""
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(str(own_tiny / "tao-hf"), ["shell", "pytorch"], timeout=120, encoding="utf-8")
    child.expect(r"[#$] ")
    child.sendline(f"pwd; {MODEL} --help > /dev/null && echo works-$((40 + 2))")
    child.expect("/workspace/tao-pytorch")
    child.expect("works-42")
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert containers(own_tiny) == []


def test_release_images(own_tiny: Path) -> None:
    """Built from the clones' own Dockerfiles with the wheels of step 21 and the top-level tao-core, never pushed."""
    base = {"tao-pytorch": "Dockerfile", "tao-deploy": "Dockerfile.release"}
    for clone, name in base.items():
        folder = own_tiny / clone / "release" / "docker"
        folder.mkdir(parents=True)
        image = docker.prepared(clone.removeprefix("tao-"))
        (folder / name).write_text(
            f"FROM {image}\nCOPY tao-core /opt/tao-core\nCOPY dist/*.whl /opt/wheels/\n"
            "RUN python -m pip install --no-deps --no-index /opt/wheels/*.whl\n"
        )
        stale = own_tiny / clone / "tao-core"
        stale.mkdir()
        (stale / "STALE").write_text("nested\n")
    status, said = tao_hf(own_tiny, "test", MODEL, "--steps", "21,25")
    assert status == 0, said
    tag = os.environ["TAO_HF_IMAGE_TAG"]
    try:
        for component in ("pytorch", "deploy"):
            look = f"command -v {MODEL} && ls /opt/tao-core"
            inside = docker.run("run", "--rm", "--entrypoint", "sh", f"tao-{component}-release:{tag}", "-c", look)
            assert MODEL in inside and "nvidia_tao_core" in inside and "STALE" not in inside
    finally:
        for component in ("pytorch", "deploy"):
            subprocess.run(["docker", "rmi", "-f", f"tao-{component}-release:{tag}"], check=False, capture_output=True)


def test_on_the_real_tao_pytorch(
    tiny_vit: Path, tao_pytorch_clone: Path, tmp_path: Path
) -> None:
    """Without a CUDA compiler in the image the clone's commands run from source; its own backbones are real."""
    workdir = tmp_path / "workdir"
    branch = with_tao_pytorch(workdir, tao_pytorch_clone)
    copied_in_containers(workdir, tiny_vit, MODEL, run_tests="none", base_branch=branch)
    status, said = tao_hf(workdir, "test", MODEL, "--steps", "16-20,24")
    assert status == 0, said
    assert "tao-pytorch" not in report(workdir, MODEL)["stand_ins"]
    log = (workdir / ".tao-hf" / MODEL / "logs" / "16.origin.log").read_text()
    assert "no CUDA compiler in this image" in log


def test_nothing_reaches_the_python_of_the_host(own_tiny: Path) -> None:
    """No distribution is added to or taken from the interpreter that runs the template."""

    def installed() -> str:
        listing = [sys.executable, "-m", "pip", "list", "--format", "json"]
        return subprocess.run(listing, check=True, capture_output=True, text=True).stdout

    before = installed()
    assert tao_hf(own_tiny, "test", MODEL, "--steps", "17")[0] == 0
    assert installed() == before
