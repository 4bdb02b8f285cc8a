"""Phase 0: what is missing is said with how to get it, and `copier copy` settles where code runs; needs no engine."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_hf.base.errors import UserError
from tao_hf.lifecycle import copy
from tao_hf.questions import runtime_choice
from tao_hf.runtime import engine as docker
from tao_hf.runtime import host, host_check, images, ngc
from tao_hf.workdir.ledger import Commit, Ledger
from tests.support.copies import MODEL, copier_copy
from tests.support.fake_machine import DEPLOY, PYTORCH, RELEASED, FakeMachine
from tests.support.paths import ROOT

BOTH = {"pytorch": PYTORCH, "deploy": DEPLOY}
KEY = "good-key-0123456789"
GPU_LINES = ("NVIDIA driver", "CUDA", "NVIDIA Container Toolkit", host_check.SMOKE)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """Return a machine on which all is well, and make it this process's."""
    made = FakeMachine(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.folder))
    monkeypatch.setenv("TAO_HF_IMAGE_TAG", "selftest")
    monkeypatch.setenv(ngc.KEY_VARIABLE, KEY)
    for variable in host_check.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(host, "CUDA_HOME", tmp_path / "cuda")
    forget()
    yield made
    forget()


def forget() -> None:
    """Let the next question be answered by looking again, as a new process would."""
    for asked in (host.gpus, runtime_choice._docker_problem, runtime_choice._is_prepared, runtime_choice._settle_once):
        asked.cache_clear()


def stopped(references: dict[str, str] | None = None, without_gpu: bool = False) -> str:
    """Return why phase 0 stops."""
    with pytest.raises(UserError) as caught:
        host_check.run(BOTH if references is None else references, without_gpu)
    return str(caught.value)


def test_all_is_well(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert host_check.run(BOTH) == {"kind": "docker", "gpu": True, "images": BOTH, "fallback": False}
    shown = capsys.readouterr().err
    assert "✗" not in shown and shown.count("✓") >= 9
    assert "nvidia-tao-core 7.0.1, nvidia_tao_pytorch 7.0.1" in shown, "what was removed is said"
    made = machine.calls("build")
    assert [call["argv"][-1] for call in made] == ["-", "-"], "no build context is sent"
    smoke = machine.calls("run")[-1]["argv"]
    assert smoke[smoke.index("--gpus") + 1] == "all" and "nvidia-smi" in smoke


def too_old(machine: FakeMachine, what: str) -> None:
    """Make one thing older than needed."""
    if what == "git":
        machine.says("git", "git version 2.27.1")
    elif what == "driver":
        machine.nvidia_smi(driver="575.57.08")
    elif what == "CUDA":
        machine.nvidia_smi(cuda="12.9")
    else:
        machine.says("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.18.2")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("git", ["git ≥ 2.28", "2.27.1", "package git"]),
        ("driver", ["NVIDIA driver ≥ 580", "575.57.08", "https://www.nvidia.com/drivers"]),
        ("CUDA", ["CUDA ≥ 13.0", "12.9", "https://developer.nvidia.com/cuda-downloads"]),
        ("toolkit", ["Container Toolkit ≥ 1.19.0", "1.18.2", "install-guide.html", "nvidia-ctk runtime configure"]),
    ],
)
def test_too_old(what: str, words: list[str], machine: FakeMachine) -> None:
    too_old(machine, what)
    said = stopped()
    assert all(word in said for word in words) and "\n" not in said
    assert not machine.calls("pull", "login", "build"), "nothing is pulled for a machine that cannot use it"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("git", ["git ≥ 2.28", "not found"]),
        ("docker", ["Docker is not installed", "https://docs.docker.com/engine/install"]),
        ("nvidia-ctk", ["Container Toolkit ≥ 1.19.0", "not found", "install-guide.html"]),
        ("nvidia-smi", ["no NVIDIA GPU", "--without-gpu", "--data without_gpu=true"]),
    ],
)
def test_missing(program: str, words: list[str], machine: FakeMachine) -> None:
    machine.without(program)
    said = stopped()
    assert all(word in said for word in words) and "\n" not in said


def test_python_too_old(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(host.sys, "version_info", (3, 9, 18, "final", 0))
        check = host.python()
    monkeypatch.setattr(host, "python", lambda: check)
    assert "Python ≥ 3.10 is needed (3.9.18)" in stopped()


@pytest.mark.parametrize(
    ("down", "words"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "systemctl start docker"),
        ("permission denied while trying to connect to the Docker daemon socket", "usermod -aG docker"),
    ],
)
def test_daemon(down: str, words: str, machine: FakeMachine) -> None:
    machine.set_docker(down=down)
    assert words in stopped()


def test_everything_missing_is_said_at_once(machine: FakeMachine) -> None:
    machine.without("docker", "nvidia-ctk")
    too_old(machine, "git")
    lines = stopped().splitlines()
    assert lines[0] == "3 things are missing:" and len(lines) == 4


def test_images_not_given(machine: FakeMachine) -> None:
    said = stopped({})
    for component in host_check.REQUIRED:
        for word in (f"tao-{component} image", f"--{component}-image", f"image_{component}=", "nvcr.io/nvidia/tao/"):
            assert word in said
        assert host_check.VARIABLES[component] in said
    assert "dataservices" not in said


def test_smoke(machine: FakeMachine) -> None:
    machine.set_docker(smoke=False)
    said = stopped()
    assert "docker run --gpus all does not work" in said and "nvidia-ctk runtime configure" in said


def test_cuda_is_found_where_it_is(machine: FakeMachine, tmp_path: Path) -> None:
    home = tmp_path / "cuda"
    assert host.cuda().found == "13.0", "of the driver, where there is no toolkit"
    home.mkdir()
    (home / "version.txt").write_text("CUDA Version 10.2.89\n", encoding="utf-8")
    assert host.cuda().found == "10.2.89" and not host.cuda().ok
    record = {"cuda": {"name": "CUDA SDK", "version": "13.0.1"}, "cuda_cccl": {"version": "13.0.50"}}
    (home / "version.json").write_text(json.dumps(record, indent=3), encoding="utf-8")
    assert host.cuda().found == "13.0.1"
    nvcc = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.1, V13.1.80"
    machine.says("nvcc", nvcc)
    assert host.cuda().found == "13.1"
    (home / "bin").mkdir()
    machine.program("other", "print('Cuda compilation tools, release 12.4, V12.4.131')")
    (machine.folder / "other").rename(home / "bin" / "nvcc")
    assert host.cuda().found == "12.4"


@pytest.mark.parametrize(("program", "version"), [("dpkg-query", "1:1.19.1-1"), ("rpm", "1.19.1")])
def test_toolkit_of_a_package_manager(program: str, version: str, machine: FakeMachine) -> None:
    machine.without("nvidia-ctk")
    machine.says(program, version)
    assert host.container_toolkit().found == "1.19.1" and host.container_toolkit().ok


def test_versions_are_numbers() -> None:
    assert host._at_least("13.10", (13, 9)) and host._at_least("580", (580,)) and host._at_least("13", (13, 0))
    assert not host._at_least("9.99", (13, 0)) and not host._at_least("1.9.0", (1, 19, 0))


def test_broken_driver_is_no_gpu(machine: FakeMachine) -> None:
    machine.program("nvidia-smi", "import sys; sys.exit('Failed to initialize NVML: Driver/library version mismatch')")
    assert host.gpus() == ()


def test_without_gpu(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.without("nvidia-smi", "nvidia-ctk")
    assert host_check.run(BOTH, without_gpu=True)["gpu"] is False
    shown = capsys.readouterr().err.splitlines()
    for name in GPU_LINES:
        assert [line for line in shown if line.startswith(f"  – {name} ") and line.endswith("skipped: no GPU")], name
    assert not any("--gpus" in call["argv"] for call in machine.calls())


def test_a_gpu_need_not_be_used(machine: FakeMachine) -> None:
    assert host_check.run(BOTH, without_gpu=True)["gpu"] is False
    assert not any("--gpus" in call["argv"] for call in machine.calls())


def test_key_goes_on_standard_input(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    host_check.run(BOTH)
    (login,) = machine.calls("login")
    assert login == {"argv": ["login", "nvcr.io", "--username", "$oauthtoken", "--password-stdin"], "stdin": KEY}
    assert KEY not in json.dumps([call["argv"] for call in machine.calls()])
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err


def test_refused_key(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ngc.KEY_VARIABLE, "wrong-key-0123")
    said = stopped()
    assert "did not take the key in NGC_KEY" in said and ngc.KEY_PAGE in said
    assert "wrong-key-0123" not in said, "Docker repeated it"


def test_no_key(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ngc.KEY_VARIABLE)
    machine.set_docker(registry={})
    said = stopped()
    assert PYTORCH in said and ngc.KEY_PAGE in said and ngc.KEY_VARIABLE in said
    machine.set_docker(registry=RELEASED)  # the person is logged in already
    assert host_check.run(BOTH)["images"] == BOTH
    assert not machine.calls("login")


def test_key_is_for_nvidias_registry_alone(machine: FakeMachine) -> None:
    elsewhere = {"pytorch": "mirror.example.org/tao:pyt", "deploy": "nvcr.io.example.org/tao:deploy"}
    machine.set_docker(registry={name: ["nvidia-tao-core"] for name in elsewhere.values()})
    host_check.run(elsewhere)
    assert len(machine.calls("pull")) == 2 and not machine.calls("login")


def test_key_is_not_used_when_nothing_is_pulled(machine: FakeMachine) -> None:
    local = {name: {"id": name, "labels": {}, "packages": []} for name in BOTH.values()}
    machine.set_docker(images=local)
    host_check.run(BOTH)
    assert not machine.calls("login", "pull")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (f"manifest for {PYTORCH} not found: manifest unknown", "check its name and tag"),
        ("Get https://nvcr.io/v2/: dial tcp: lookup nvcr.io: no such host", "no such host"),
        ("write /var/lib/docker/tmp/x: no space left on device", "make room"),
        ("pull access denied, repository does not exist", ngc.KEY_PAGE),
    ],
)
def test_pull_that_fails(refusal: str, words: str, machine: FakeMachine) -> None:
    machine.set_docker(registry={}, refusal=refusal)
    said = stopped()
    assert words in said and PYTORCH in said and "\n" not in said


HOSTILE = [
    "--privileged", "-v/:/host", "a b", "a\nRUN id", "a\tb", "$(id)", "`id`", "a;id", "a|b", "a&&b", "x:latest\n",
    "\x1b[31m", "../x", "/etc/passwd", "file:///etc", "https://nvcr.io/x", "UPPER/CASE", "x:", "x@sha256:00",
    "x@sha1:" + "0" * 64,
    "x:" + "t" * 129, "a/" * 400 + "a", "日本", "x:tag x", "x\x00y", "host:port/x", "{{ 7 * 7 }}", "x:-tag",
]  # fmt: skip


@pytest.mark.parametrize("reference", HOSTILE)
def test_hostile_references(reference: str, machine: FakeMachine) -> None:
    said = stopped({**BOTH, "deploy": reference})
    if reference.strip() == reference:  # blanks around an answer are dropped
        assert "tao-deploy image" in said and "no image reference" in said and "\n" not in said and "\x1b" not in said
    for function in (images.pull, lambda name: images.prepare("deploy", name)):
        with pytest.raises(UserError, match="no image reference"):
            function(reference)
    assert not any(reference in call["argv"] for call in machine.calls())


@pytest.mark.parametrize(
    "reference",
    [
        PYTORCH, "x", "x:1", "org/x", "localhost/x", "localhost:5000/x:1", "nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt",
        "nvcr.io/a__b/c-d.e@sha256:" + "0" * 64, "10.0.0.1:443/x:Rc.1_multi-arch", "Mirror.Example.org/x",
        "x:1@sha256:" + "a" * 64,
    ],
)  # fmt: skip
def test_references(reference: str) -> None:
    assert images.reference_problem(reference) is None


def test_registry() -> None:
    assert images.registry("nvcr.io/a/b:1") == "nvcr.io" and images.registry("org/x:1") == "docker.io"
    assert images.registry("localhost/x") == "localhost" and images.registry("x:1.2") == "docker.io"


def test_prepared_images_are_used_as_they_are(machine: FakeMachine) -> None:
    machine.prepared("pytorch", "deploy")
    result = host_check.run({})
    assert result["images"] == {"pytorch": "tao-pytorch-base:selftest", "deploy": "tao-deploy-base:selftest"}
    assert not machine.calls("pull", "build", "login")


def test_prepared_images_are_verified_all_the_same(machine: FakeMachine) -> None:
    machine.prepared("pytorch", "deploy", packages=("nvidia_tao_core",))
    said = stopped({})
    assert "tao-pytorch-base:selftest still holds nvidia_tao_core 7.0.1" in said


def test_package_that_stays(machine: FakeMachine) -> None:
    machine.set_docker(registry={**RELEASED, DEPLOY: ["sticky nvidia-tao-deploy"]})
    said = stopped()
    assert "tao-deploy-base:selftest still holds nvidia-tao-deploy 7.0.1" in said and "by hand" in said


def test_up_to_date_image_is_not_made_again(machine: FakeMachine) -> None:
    host_check.run(BOTH)
    assert len(machine.calls("build")) == 2
    host_check.run(BOTH)
    assert len(machine.calls("build")) == 2 and len(machine.calls("pull")) == 2
    kept = json.loads((machine.folder / "docker.json").read_text(encoding="utf-8"))["images"]
    machine.set_docker(images={name: image for name, image in kept.items() if name.endswith(":selftest")})
    host_check.run(BOTH)
    assert len(machine.calls("pull")) == 2, "the published images were removed to save space"
    changed = {**kept, PYTORCH: {**kept[PYTORCH], "id": "another"}}
    machine.set_docker(images=changed)
    host_check.run(BOTH)
    assert len(machine.calls("build")) == 3, "the tag names another image now"


def test_a_published_image_under_the_prepared_name_is_stripped(machine: FakeMachine) -> None:
    machine.prepared("pytorch", "deploy", packages=("nvidia-tao-core",))
    own = {component: docker.prepared(component) for component in host_check.REQUIRED}
    host_check.run(own)
    host_check.run(own)
    assert len(machine.calls("build")) == 2


def test_dataservices_is_optional(machine: FakeMachine) -> None:
    name = "nvcr.io/org/tao-toolkit:7.0.1-data-services"
    machine.set_docker(registry={**RELEASED, name: ["nvidia_tao_ds", "nvidia_tao_pytorch", "nvidia_tao_core"]})
    result = host_check.run({**BOTH, "dataservices": name})
    assert result["images"]["dataservices"] == name


def test_no_images_here(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.without("nvidia-smi")
    machine.set_docker(registry={docker.FALLBACK_IMAGE: []})
    result = host_check.run({"pytorch": "none", "deploy": "none"})
    assert result == {"kind": "docker", "gpu": False, "images": {}, "fallback": True}
    assert docker.FALLBACK_IMAGE in capsys.readouterr().err
    assert "for both" in stopped({"pytorch": "none", "deploy": DEPLOY}, without_gpu=True)


def arguments(*argv: str) -> argparse.Namespace:
    """Return the parsed arguments of ``./tao-hf phase0``."""
    parser = argparse.ArgumentParser()
    host_check.add_arguments(parser)
    return parser.parse_args(argv)


@pytest.mark.usefixtures("machine")
def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """References come from arguments or the environment, and the working directory is tested in the containers."""
    record = tmp_path / ".tao-hf" / "workdir.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"runtime": "local", "gpu": False, "repos": {"tao-core": {}}}), encoding="utf-8")
    monkeypatch.setenv("TAO_PT_PUB_IMAGE", PYTORCH)
    assert host_check.main(tmp_path, arguments("--deploy-image", DEPLOY)) == 0
    kept = json.loads(record.read_text(encoding="utf-8"))
    assert kept == {"runtime": "docker", "gpu": True, "repos": {"tao-core": {}}}
    assert "from now on" in capsys.readouterr().err
    assert host_check.main(tmp_path, arguments("--without-gpu")) == 0, "the images are prepared now"
    assert json.loads(record.read_text(encoding="utf-8"))["gpu"] is False
    record.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"workdir\.json cannot be read"):
        host_check.main(tmp_path, arguments("--without-gpu"))


LOCAL = {"kind": "local", "gpu": False, "images": {}, "fallback": False}


def settle(runtime: str, pytorch: str = "", deploy: str = "", without_gpu: bool = False) -> dict[str, Any]:
    """Return what `copier copy` settles on."""
    return runtime_choice.settle_runtime(runtime, pytorch, deploy, "", without_gpu)


def no_docker(machine: FakeMachine) -> None:
    machine.without("docker")


def daemon_down(machine: FakeMachine) -> None:
    machine.set_docker(down="Cannot connect to the Docker daemon")


def no_gpu(machine: FakeMachine) -> None:
    machine.without("nvidia-smi")


def all_prepared(machine: FakeMachine) -> None:
    machine.prepared("pytorch", "deploy")


def half_prepared(machine: FakeMachine) -> None:
    machine.prepared("pytorch")


def old_toolkit(machine: FakeMachine) -> None:
    too_old(machine, "toolkit")


def no_registry(machine: FakeMachine) -> None:
    machine.set_docker(registry={})


@pytest.mark.parametrize(
    ("changes", "answers", "kind", "said"),
    [
        ([], [], "local", "no tao-pytorch and no tao-deploy image is prepared or given"),
        ([], [PYTORCH, DEPLOY], "docker", ""),
        ([], [PYTORCH, ""], "local", "no tao-deploy image"),
        ([all_prepared], [], "docker", ""),
        ([half_prepared], [], "local", "no tao-deploy image"),
        ([half_prepared], ["", DEPLOY], "docker", ""),
        ([no_docker], [PYTORCH, DEPLOY], "local", "Docker is not installed"),
        ([daemon_down], [PYTORCH, DEPLOY], "local", "daemon does not answer"),
        ([no_gpu], [PYTORCH, DEPLOY], "local", "--data without_gpu=true"),
        ([no_gpu], [PYTORCH, DEPLOY, True], "docker", ""),
        ([no_gpu, all_prepared], [], "local", "no NVIDIA GPU"),
        ([old_toolkit], [PYTORCH, DEPLOY], "local", "Container Toolkit"),
        ([no_registry], [PYTORCH, DEPLOY], "local", ngc.KEY_PAGE),
        ([], ["none", "none"], "local", "no TAO images"),
    ],
)
def test_auto(
    changes: list[Callable[[FakeMachine], None]],
    answers: list[Any],
    kind: str,
    said: str,
    machine: FakeMachine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Docker where everything is there, else the local runtime with one line that says why; never a stop."""
    for change in changes:
        change(machine)
    assert settle("auto", *answers)["kind"] == kind
    lines = [line for line in capsys.readouterr().err.splitlines() if "using the local runtime" in line]
    assert len(lines) == (kind == "local") and all(said in line for line in lines)


def test_auto_does_not_excuse_a_wrong_answer(machine: FakeMachine) -> None:
    with pytest.raises(UserError, match="no image reference"):
        settle("auto", "--privileged", DEPLOY)
    assert not machine.calls()


def test_docker_stops(machine: FakeMachine) -> None:
    no_gpu(machine)
    with pytest.raises(UserError, match="no NVIDIA GPU"):
        settle("docker", PYTORCH, DEPLOY)
    assert settle("docker", PYTORCH, DEPLOY, without_gpu=True)["kind"] == "docker"


def test_local_does_not_touch_docker(machine: FakeMachine) -> None:
    assert settle("local", PYTORCH, DEPLOY) == LOCAL
    assert not runtime_choice.asks_for_image("pytorch", "local") and not runtime_choice.asks_about_gpu("local", "", "")
    assert machine.calls() == []


def test_once_per_run(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    """Copier asks for a default many times; neither the checklist nor a stop comes twice."""
    first = settle("docker", PYTORCH, DEPLOY)
    made = len(machine.calls())
    assert settle("docker", PYTORCH, DEPLOY) == first and len(machine.calls()) == made
    no_gpu(machine)
    forget()
    for _ in range(2):
        with pytest.raises(UserError, match="no NVIDIA GPU"):
            settle("docker", PYTORCH, DEPLOY)
    assert capsys.readouterr().err.count("Phase 0") == 2


def test_which_images_are_asked_for(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = runtime_choice.asks_for_image
    assert asks("pytorch", "auto") and asks("pytorch", "docker")
    assert not asks("deploy", "auto", ""), "without the first image auto means local"
    assert asks("deploy", "docker", "") and asks("deploy", "auto", PYTORCH)
    assert not asks("deploy", "docker", "none") and runtime_choice.default_image("deploy", "none") == "none"
    assert asks("dataservices", "auto", PYTORCH, DEPLOY)
    monkeypatch.setenv("TAO_DEPLOY_PUB_IMAGE", f" {DEPLOY} ")
    assert runtime_choice.default_image("deploy", PYTORCH) == DEPLOY and runtime_choice.default_image("pytorch") == ""
    machine.prepared("pytorch")
    forget()
    assert not asks("pytorch", "auto") and asks("deploy", "auto", "")
    machine.set_docker(down="gone")
    forget()
    assert not asks("pytorch", "docker"), "phase 0 says what is wrong before anything is asked"


def test_when_the_gpu_is_asked_about(machine: FakeMachine) -> None:
    assert not runtime_choice.asks_about_gpu("docker", PYTORCH, DEPLOY)
    no_gpu(machine)
    forget()
    assert runtime_choice.asks_about_gpu("docker", PYTORCH, DEPLOY)
    assert not runtime_choice.asks_about_gpu("auto", "", "")
    assert not runtime_choice.asks_about_gpu("docker", "none", "none")
    all_prepared(machine)
    forget()
    assert runtime_choice.asks_about_gpu("auto", "", "")


def test_image_problem_at_the_prompt() -> None:
    conf = {"defaults": False, "data": {}}
    problem = runtime_choice.image_problem_when_asked
    assert "no image reference" in problem("image_deploy", conf, "a b")
    assert problem("image_deploy", conf, "") == problem("image_deploy", conf, "none") == ""
    assert problem("image_deploy", {**conf, "defaults": True}, "a b") == ""


def test_fallback_leaves_tests_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"containers": {**LOCAL, "kind": "docker", "fallback": True}, "run_tests": "full"}
    monkeypatch.setattr(copy, "add_model", lambda *_: answers)
    assert copy.main(ROOT, tmp_path, "some_vit") == 0
    assert "nothing was tested" in capsys.readouterr().err


def test_copy_stops_before_the_model_is_looked_at(tmp_path: Path) -> None:
    env = {"DOCKER_HOST": "unix:///nonexistent.sock"}
    done = copier_copy(tmp_path / "workdir", "nobody/nothing", env, runtime="docker", without_gpu="true")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "systemctl start docker" in done.stdout and "✗ Docker" in done.stdout
    assert "nobody" not in done.stdout and not (tmp_path / "workdir").exists()


def commit(folder: Path, tag: str) -> None:
    """Commit everything in a folder, and tag it."""
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", tag], ["tag", tag]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


@pytest.mark.runtime
def test_copier_update_asks_docker_nothing(tiny_vit: Path, tmp_path: Path) -> None:
    """Neither Docker nor the GPU, whatever the answers say by then."""
    template, workdir = tmp_path / "template", tmp_path / "workdir"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (template / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, template / name)
    commit(template, "1.0.0")
    done = copier_copy(workdir, tiny_vit, template=template, model_name=MODEL)
    assert done.returncode == 0, done.stdout
    file = workdir / ".tao-hf" / MODEL / "answers.yml"
    answers = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert answers["containers"] == LOCAL
    answers["runtime"] = "auto"
    answers["containers"] = {"kind": "docker", "gpu": True, "images": BOTH, "fallback": False}
    file.write_text(yaml.safe_dump(answers), encoding="utf-8")
    book = Ledger(workdir)
    tip = book.tip(f"template/{MODEL}")
    files = {**book.files(tip), file.relative_to(workdir).as_posix(): file.read_bytes()}
    book.write(f"template/{MODEL}", [Commit("as it was recorded", (tip,), files)])
    (template / "README.md").write_text("changed\n", encoding="utf-8")
    commit(template, "1.1.0")

    machine = FakeMachine(tmp_path / "bin")
    machine.without("git")
    machine.program("nvidia-smi", "open(__file__ + '.log', 'w').close()")
    env = {**os.environ, "PATH": f"{machine.folder}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults"]
    answered = ["--answers-file", f".tao-hf/{MODEL}/answers.yml"]
    updated = subprocess.run([*command, *answered], cwd=workdir, env=env, capture_output=True, text=True, check=False)
    assert updated.returncode == 0, updated.stderr
    after = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert after["_commit"] == "1.1.0" and after["containers"] == answers["containers"]
    assert machine.calls() == [] and not (machine.folder / "nvidia-smi.log").exists()
