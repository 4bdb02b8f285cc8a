"""./tao-hf as a person runs it: a process with the standard library alone, plain sentences, honest exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.clones import git
from tests.support.trees import MODEL

SPEC = f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/experiment_specs/experiment_spec.yaml"
BARE = [sys.executable, "-I", "-S"]  # no site-packages, no PYTHONPATH, no current directory


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rendered working directory."""
    return trees.build(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def workdir(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy of it to break."""
    return Path(shutil.copytree(pristine, tmp_path / "work"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return variables with which this very interpreter plays the runtime, and a cache of the test's own."""
    return {**os.environ, "TAO_HF_PYTHON": sys.executable, "TAO_HF_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def tao_hf(workdir: Path, environment: dict[str, str]):
    """Return a function that runs ./tao-hf with arguments."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BARE, str(workdir / "tao-hf"), *args],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def test_the_standard_library_is_enough(workdir: Path, tao_hf) -> None:
    code = f"import sys; sys.path.insert(0, {str(workdir / '.tao-hf/lib')!r}); import tao_hf.cli; print(*sys.modules)"
    loaded = subprocess.run([*BARE, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"__main__", "tao_hf"}
    assert not {name for name in ours if not name.startswith(("_", "sphinxcontrib"))}
    assert tao_hf("status").returncode == 0


def test_the_launcher_is_found_through_a_link_and_from_anywhere(workdir: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(workdir / "tao-hf")
    done = subprocess.run([str(link), "status"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(workdir) in done.stdout


def test_help_names_the_commands_and_the_exit_codes(tao_hf) -> None:
    done = tao_hf("--help")
    assert done.returncode == 0
    for word in ("status", "check", "test", "phase0", "shell", "clean", "exit status", "report.md"):
        assert word in done.stdout
    for word in ("--full", "--steps", "--resume", "--list", "--data", "--set"):
        assert word in tao_hf("test", "--help").stdout
    assert tao_hf().returncode == 2
    assert tao_hf("tset", MODEL).returncode == 2


def test_status_says_where_everything_came_from_and_how_the_last_test_went(workdir: Path, tao_hf) -> None:
    before = tao_hf("status").stdout
    assert f"not tested yet: ./tao-hf test {MODEL}" in before
    assert "acme/tiny-vit" in before
    assert re.search(r"tao-pytorch +embedded +7\.0\.1 +–", before)

    git(workdir / "tao-deploy", "init", "-q", "-b", "tao-hf")
    record = json.loads((workdir / ".tao-hf/workdir.json").read_text(encoding="utf-8"))
    record["repos"]["tao-deploy"]["source"] = "present"
    (workdir / ".tao-hf/workdir.json").write_text(json.dumps(record), encoding="utf-8")
    report = {"stand_ins": ["tensorrt"], "steps": [{"title": "Train", "status": "failed"}]}
    (workdir / f".tao-hf/{MODEL}/report.json").write_text(json.dumps(report), encoding="utf-8")
    after = tao_hf("status").stdout
    assert "last test failed (Train)" in after
    assert re.search(r"tao-deploy +yours +7\.0\.1 +tao-hf", after)
    assert "stand-ins for: tensorrt" in after


def test_a_wrong_model_is_one_sentence_with_the_right_ones(tao_hf) -> None:
    for command in ("check", "test"):
        done = tao_hf(command, "nope")
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1
        assert MODEL in done.stderr and "Traceback" not in done.stderr


def test_check_passes_then_names_what_an_edit_broke(workdir: Path, tao_hf) -> None:
    done = tao_hf("check", MODEL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything agrees" in done.stdout
    spec = workdir / SPEC
    spec.write_text(spec.read_text(encoding="utf-8").replace("input_height: 24", "input_height: 48"), encoding="utf-8")
    done = tao_hf("check", MODEL)
    assert done.returncode == 1
    assert f"{SPEC}:" in done.stdout and "export.input_height is 48" in done.stdout
    assert "1 of 19 items are broken" in done.stdout


def test_a_check_that_cannot_run_is_not_a_pass(workdir: Path, tao_hf) -> None:
    (workdir / ".tao-hf/lib/tao_hf/in_runtime/check/model_tree.py").unlink()
    done = tao_hf("check", MODEL)
    assert done.returncode == 2
    assert "could not be run" in done.stderr.splitlines()[-1]


def test_a_failing_test_ends_with_1_and_a_report(workdir: Path, tao_hf) -> None:
    done = tao_hf("test", MODEL)  # this interpreter has no torch, so the unit tests cannot pass
    assert done.returncode == 1, done.stderr
    report = json.loads((workdir / f".tao-hf/{MODEL}/report.json").read_text(encoding="utf-8"))
    status = {step["id"]: step["status"] for step in report["steps"]}
    assert status["consistency"] == status["17"] == "passed"
    assert status["18"] == "failed"
    assert status["22.train"] == "skipped"
    assert "FAILED" in done.stdout and f"{workdir}/.tao-hf/{MODEL}/report.md" in done.stdout
    assert "FAILED" in (workdir / f".tao-hf/{MODEL}/report.md").read_text(encoding="utf-8")
    assert str(workdir) not in json.dumps([step["log"] for step in report["steps"]])


def test_the_list_of_steps_says_where_each_runs_and_how_it_ended(workdir: Path, tao_hf) -> None:
    lines = {line.split()[0]: line for line in tao_hf("test", MODEL, "--list").stdout.splitlines()}
    assert re.search(r"17 +tao-core tests +local runtime +quick +–", lines["17"])
    assert re.search(r"16 +Images +– +quick +–", lines["16"])
    assert lines["22.train"].split()[-2] == "full" and lines["25"].split()[-2] == "optional"

    record = json.loads((workdir / ".tao-hf/workdir.json").read_text(encoding="utf-8"))
    (workdir / ".tao-hf/workdir.json").write_text(json.dumps({**record, "runtime": "docker"}), encoding="utf-8")
    report = {"stand_ins": [], "steps": [{"id": "17", "title": "tao-core tests", "status": "failed"}]}
    (workdir / f".tao-hf/{MODEL}/report.json").write_text(json.dumps(report), encoding="utf-8")
    lines = {line.split()[0]: line for line in tao_hf("test", MODEL, "--list").stdout.splitlines()}
    assert re.search(r"17 +tao-core tests +tao-pytorch-base:\S+ +quick +failed", lines["17"])
    assert re.search(r"tao-pytorch-base:\S+, tao-deploy-base:\S+ +quick", lines["16.origin"])
    assert "this machine" in lines["25"]


def test_selected_steps_decide_the_exit_status_not_what_failed_before(workdir: Path, tao_hf) -> None:
    assert tao_hf("test", MODEL, "--steps", "18").returncode == 1, "it needs 17, which has not passed"
    assert tao_hf("test", MODEL).returncode == 1
    done = tao_hf("test", MODEL, "--steps", "17")
    assert done.returncode == 0, done.stderr
    report = json.loads((workdir / f".tao-hf/{MODEL}/report.json").read_text(encoding="utf-8"))
    assert report["last_run"] == ["17"]
    assert {step["id"]: step["status"] for step in report["steps"]}["18"] == "failed"


def test_nothing_to_go_on_with_is_fine(tao_hf) -> None:
    assert tao_hf("test", MODEL, "--steps", "17").returncode == 0
    done = tao_hf("test", MODEL, "--resume")
    assert done.returncode == 0 and "nothing to go on with" in done.stdout


def test_shell_opens_where_the_models_command_is_found(workdir: Path, tao_hf) -> None:
    for context in ("pytorch", "deploy"):
        done = subprocess.run(
            [*BARE, str(workdir / "tao-hf"), "shell", context],
            env={**os.environ, "TAO_HF_PYTHON": sys.executable, "SHELL": "/bin/sh"},
            input=f"command -v {MODEL}; pwd; exit 3\n", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert done.stdout.split() == [str(workdir / ".tao-hf/bin" / context / MODEL), str(workdir / f"tao-{context}")]
    assert tao_hf("shell", "inspect").returncode == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--set", "train.num_epochs=1"], "add --full"),
        (["--full", "--set", "train.num_epochs"], "key=value"),
        (["--full", "--set", "results_dir=/x"], "results_dir is decided"),
        (["--full", "--data", "/nowhere"], "no readable classes.txt"),
        (["--data", "/nowhere"], "add --full"),
        (["--steps", "17,x"], "no step 'x'; the steps are 16,"),
        (["--steps", "17-19", "--set", "train.num_epochs=1"], "add it to --steps"),
        (["--resume", "--full"], "leave out the other options"),
        (["--resume"], "not tested yet"),
    ],
)
def test_wrong_arguments_end_with_2_before_anything_runs(workdir: Path, tao_hf, args: list[str], said: str) -> None:
    done = tao_hf("test", MODEL, *args)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (workdir / f".tao-hf/{MODEL}/report.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"model_name": "other"}'])
def test_a_broken_model_record_is_one_sentence(workdir: Path, tao_hf, text: str) -> None:
    (workdir / f".tao-hf/{MODEL}/model.json").write_text(text, encoding="utf-8")
    for args in (["status"], ["check", MODEL]):
        done = tao_hf(*args)
        assert done.returncode == 2
        assert "copier update" in done.stderr and "Traceback" not in done.stderr


def test_a_library_that_is_gone_is_one_sentence(workdir: Path, tao_hf) -> None:
    shutil.rmtree(workdir / ".tao-hf/lib")
    done = tao_hf("status")
    assert done.returncode == 1
    assert "copier update" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_stops_the_running_command_and_leaves_a_report(
    workdir: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    slow = tmp_path / "python"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *check.consistency*) echo waiting; exec sleep 300;; esac\n'
        f'exec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    slow.chmod(0o755)
    child = subprocess.Popen(
        [*BARE, str(workdir / "tao-hf"), "test", MODEL],
        env={**environment, "TAO_HF_PYTHON": str(slow)}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )  # fmt: skip
    log = workdir / f".tao-hf/{MODEL}/logs/consistency.log"
    try:
        deadline = time.monotonic() + 60
        while not (log.exists() and "waiting" in log.read_text(encoding="utf-8")):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, shown = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert "interrupted" in shown.splitlines()[-1] and "--resume" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    report = json.loads((workdir / f".tao-hf/{MODEL}/report.json").read_text(encoding="utf-8"))
    ended = {step["id"]: (step["status"], step["reason"]) for step in report["steps"]}
    assert ended["consistency"] == ("failed", "interrupted by the person")
    assert ended["17"] == ("skipped", "not reached") and "--full" in ended["22.train"][1]
    resumed = subprocess.run(
        [*BARE, str(workdir / "tao-hf"), "test", MODEL, "--resume"],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    report = json.loads((workdir / f".tao-hf/{MODEL}/report.json").read_text(encoding="utf-8"))
    states = {step["id"]: step["status"] for step in report["steps"]}
    assert states["consistency"] == states["17"] == "passed", resumed.stderr
    assert states["22.train"] == "skipped" and "16.origin" not in report["last_run"]
