"""Running the steps: order, logs, what a failure takes with it, and gates that look at artifacts, not at exit codes."""

from __future__ import annotations

import csv
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine, images
from tao_hf.selftest import runner, schedule
from tao_hf.selftest.steps import STEPS, selection
from tao_hf.selftest.steps.consistency import CONSISTENCY
from tao_hf.selftest.steps.inputs import check_data, check_settings, count_images, images_folder
from tao_hf.selftest.steps.job import HOST, Command, Job, Step, StepError
from tao_hf.workdir import records
from tests.support.fake_runtime import FakeRuntime, Reply

MODEL = "tiny_vit"
INFO: dict[str, Any] = {
    "model_name": MODEL,
    "task_type": "image-classification",
    "hf_model_id": "acme/tiny-vit",
    "num_labels": 1000,
    "image_size": [24, 32],
    "channels": 3,
    "strategy": "hf",
    "proof": {"difference": 1e-6, "sizes": [[24, 32]], "weights": "random", "against": "tao-pytorch"},
    "network": "backbone",
    "rows_per_image": "one",
    "best_metric": "highest",
    "data_files": [],
    "data_settings": {
        f"dataset.{split}_dataset.images_dir": f"{{data}}/{split}" for split in ("train", "val", "test")
    },
    "files": [
        f"tao-core/{MODEL}.py",
        f"tao-pytorch/nvidia_tao_pytorch/cv/{MODEL}/entrypoint/{MODEL}.py",
        f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/entrypoint/{MODEL}.py",
        f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/labels.json",
        f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/__init__.py",
        f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/specs/evaluate.yaml",
        "tao-core/deleted.py",
    ],
}
CORE_FILE, PYTORCH_FILE, DEPLOY_FILE, DEPLOY_DATA, DEPLOY_INIT, DEPLOY_SPEC = INFO["files"][:6]
TEST_IMAGES = 6
WORDS = ["same label", "largest difference of two raw outputs"]


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a working directory that holds a model's record and its files, less one."""
    home = tmp_path / ".tao-hf" / MODEL
    home.mkdir(parents=True)
    (home / "model.json").write_text(json.dumps(INFO), encoding="utf-8")
    for name in INFO["files"][:6]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def step(step_id: str, *, gate: Callable[[Job], str] | None = None, **fields: Any) -> Step:
    """Return a step that runs one command named like it, quick unless `fields` say otherwise."""
    return Step(
        id=step_id,
        title=f"Step {step_id}",
        commands=lambda job: [Command([f"run-{step_id}"])],
        gate=gate or (lambda job: "fine"),
        **{"context": "pytorch", "quick": True, **fields},
    )


def run(workdir: Path, steps: list[Step], replies: dict[str, Reply], level: str = "full") -> dict[str, Any]:
    """Run made-up steps and return the report."""
    return runner.run_tests(workdir, MODEL, level, runtime=FakeRuntime(workdir, replies), steps=steps)


def outcome(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return {step: (status, reason)}."""
    return {entry["id"]: (entry["status"], entry["reason"]) for entry in report["steps"]}


# ---------------------------------------------------------------- the runner


def test_a_failing_step_takes_its_dependants_with_it_and_nothing_else(workdir: Path) -> None:
    steps = [step("a"), step("b", needs=("a",)), step("c", needs=("b",)), step("d")]
    found = outcome(run(workdir, steps, {"run-a": Reply(3, ["one", "ValueError: too short", "bye"])}))
    assert found["a"] == ("failed", "exit code 3: ValueError: too short")
    assert found["b"] == ("skipped", "needs Step a (a), which failed")
    assert found["c"] == ("skipped", "needs Step b (b), which was skipped")
    assert found["d"] == ("passed", "fine")


def test_the_log_of_every_step_is_kept_whole_and_its_end_is_shown_on_failure(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"line {number}" for number in range(100)]
    report = run(workdir, [step("a"), step("b")], {"run-a": Reply(1, lines), "run-b": Reply(0, ["quiet"])})
    assert [entry["log"] for entry in report["steps"]] == [f".tao-hf/{MODEL}/logs/{name}.log" for name in "ab"]
    log = (workdir / report["steps"][0]["log"]).read_text(encoding="utf-8").splitlines()
    assert log[:3] == ["$ run-a", "line 0", "line 1"] and "line 99" in log
    shown = capsys.readouterr().err
    assert "line 99" in shown and "line 50" not in shown
    assert str(workdir / report["steps"][0]["log"]) in shown
    assert "quiet" not in shown


def test_the_quick_level_names_the_steps_it_leaves_out(workdir: Path) -> None:
    found = outcome(run(workdir, [step("a"), step("b", quick=False)], {}, level="quick"))
    assert found["a"][0] == "passed"
    assert found["b"] == ("skipped", schedule.NOT_QUICK)


def test_exit_code_0_without_the_artifact_is_a_failure(workdir: Path) -> None:
    def gate(job: Job) -> str:
        raise StepError("the checkpoint is missing")

    assert outcome(run(workdir, [step("a", gate=gate)], {}))["a"] == ("failed", "the checkpoint is missing")


def test_a_gate_that_cannot_read_its_artifact_is_a_failure_not_a_crash(workdir: Path) -> None:
    found = outcome(run(workdir, [step("a", gate=lambda job: json.loads("{")), step("b")], {}))
    assert found["a"][0] == "failed" and found["b"][0] == "passed"


def test_an_earlier_runs_results_do_not_pass_for_this_ones(workdir: Path) -> None:
    logs = workdir / ".tao-hf" / MODEL / "logs"
    logs.mkdir()
    (logs / "consistency.json").write_text('{"findings": [{"title": "x", "ok": true}]}', encoding="utf-8")
    found = outcome(run(workdir, [CONSISTENCY], {"check.consistency": Reply(0)}))
    assert found["consistency"] == ("failed", "the list of findings is missing or empty: consistency.json")


def test_an_error_meant_for_the_person_fails_the_step_alone(workdir: Path) -> None:
    replies = {"run-a": UserError("There is no command tiny_vit in the pytorch context.")}
    found = outcome(run(workdir, [step("a"), step("b")], replies))
    assert found["a"] == ("failed", "There is no command tiny_vit in the pytorch context.")
    assert found["b"][0] == "passed"


def test_ctrl_c_leaves_a_report_that_says_so(workdir: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(workdir, [step("a"), step("b"), step("c")], {"run-b": KeyboardInterrupt()})
    report = json.loads((workdir / ".tao-hf" / MODEL / "report.json").read_text(encoding="utf-8"))
    assert outcome(report) == {
        "a": ("passed", "fine"), "b": ("failed", "interrupted by the person"), "c": ("skipped", "not reached"),
    }  # fmt: skip


def test_the_report_is_on_disk_after_every_step(workdir: Path) -> None:
    seen: list[str] = []

    def look() -> None:
        report = json.loads((workdir / ".tao-hf" / MODEL / "report.json").read_text(encoding="utf-8"))
        seen.append(outcome(report)["a"][0])

    run(workdir, [step("a"), step("b")], {"run-a": Reply(effect=look), "run-b": Reply(effect=look)})
    assert seen == ["skipped", "passed"]


def test_a_runtime_of_its_own_is_closed_even_when_interrupted(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRuntime(workdir, {"run-a": KeyboardInterrupt()})
    monkeypatch.setattr(runner, "get_runtime", lambda kind, root: fake)
    with pytest.raises(KeyboardInterrupt):
        runner.run_tests(workdir, MODEL, "full", steps=[step("a")])
    assert fake.closed


def test_stand_ins_name_the_embedded_tao_pytorch_but_not_real_wheels(workdir: Path) -> None:
    repos = {name: {"source": "embedded"} for name in ("tao-core", "tao-pytorch", "tao-deploy")}
    (workdir / ".tao-hf" / "workdir.json").write_text(
        json.dumps({"runtime": "local", "repos": repos}), encoding="utf-8"
    )
    assert run(workdir, [step("a")], {})["stand_ins"] == ["eff", "tao-pytorch", "tensorrt"]
    repos["tao-pytorch"]["source"] = "present"
    (workdir / ".tao-hf" / "workdir.json").write_text(
        json.dumps({"runtime": "local", "repos": repos}), encoding="utf-8"
    )
    assert run(workdir, [step("a")], {})["stand_ins"] == ["eff", "tensorrt"]


def test_an_unknown_model_is_refused_with_the_ones_there_are(workdir: Path) -> None:
    with pytest.raises(UserError, match=r"no model 'other'.*tiny_vit"):
        runner.run_tests(workdir, "other", "quick", runtime=FakeRuntime(workdir))
    with pytest.raises(UserError, match="no model"):
        records.load_model(workdir, "../tiny_vit")


# ---------------------------------------------------------------- which steps run


def again(workdir: Path, steps: list[Step], replies: dict[str, Reply], *selected: str, **options: Any) -> tuple:
    """Run selected made-up steps; return the report and the commands that ran."""
    fake = FakeRuntime(workdir, replies, **options)
    report = runner.run_tests(workdir, MODEL, "quick", runtime=fake, steps=steps, selected=selected)
    return report, [argv[0] for _, argv, _ in fake.calls]


def test_selected_steps_run_whatever_the_level_and_the_others_stay_as_they_were(workdir: Path) -> None:
    steps = [step("a"), step("b"), step("c", quick=False)]
    run(workdir, steps, {"run-a": Reply(1, ["ValueError: x"])}, level="quick")
    report, calls = again(workdir, steps, {}, "c")
    assert calls == ["run-c"] and report["last_run"] == ["c"]
    assert {entry["id"]: entry["status"] for entry in report["steps"]} == {"a": "failed", "b": "passed", "c": "passed"}
    assert outcome(report)["a"] == ("failed", "exit code 1: ValueError: x")
    assert report["level"] == "quick"


def test_selected_steps_of_a_model_that_was_never_tested(workdir: Path) -> None:
    report, _ = again(workdir, [step("a"), step("b")], {}, "b")
    assert outcome(report) == {"a": ("skipped", schedule.NOT_SELECTED), "b": ("passed", "fine")}
    assert report["level"] == "selected"


def test_a_need_that_passed_last_time_is_fulfilled_and_one_that_did_not_says_what_to_run(workdir: Path) -> None:
    steps = [step("a"), step("b", needs=("a",)), step("c", needs=("b",))]
    report, calls = again(workdir, steps, {}, "c")
    reason = f"needs Step b (b), which has not passed: run ./tao-hf test {MODEL} --steps a,b,c"
    assert outcome(report)["c"] == ("skipped", reason) and calls == []
    again(workdir, steps, {}, "a", "b")
    report, calls = again(workdir, steps, {}, "c")
    assert outcome(report)["c"] == ("passed", "fine") and calls == ["run-c"]


def test_what_passed_in_another_runtime_does_not_count(workdir: Path) -> None:
    steps = [step("a"), step("b", needs=("a",))]
    again(workdir, steps, {}, "a")
    report, calls = again(workdir, steps, {}, "b", kind="docker")
    assert outcome(report)["b"][0] == "skipped" and calls == []


def test_preconditions_run_along_until_they_have_passed(workdir: Path) -> None:
    first, second = step("p", precondition=True), step("q", needs=("p",), precondition=True)
    steps = [first, second, step("a", needs=("q",)), step("b")]
    assert again(workdir, steps, {}, "b")[1] == ["run-b"]
    report, calls = again(workdir, steps, {"run-q": Reply(1)}, "a")
    assert calls == ["run-p", "run-q"] and report["last_run"] == ["p", "q", "a"]
    assert outcome(report)["a"] == ("skipped", "needs Step q (q), which failed")
    assert again(workdir, steps, {}, "a")[1] == ["run-q", "run-a"]
    assert again(workdir, steps, {}, "a")[1] == ["run-a"]


def test_an_optional_step_runs_only_when_it_is_selected(workdir: Path) -> None:
    steps = [step("a"), step("z", optional=True)]
    assert outcome(run(workdir, steps, {}))["z"] == ("skipped", f"optional: ./tao-hf test {MODEL} --steps z")
    assert outcome(again(workdir, steps, {}, "z")[0])["z"] == ("passed", "fine")


def test_steps_about_containers_mean_nothing_elsewhere_and_keep_nothing_from_running(workdir: Path) -> None:
    steps = [step("a", docker_only=True), step("b", needs=("a",))]
    assert outcome(run(workdir, steps, {})) == {"a": ("skipped", schedule.NO_CONTAINERS), "b": ("passed", "fine")}
    report, calls = again(workdir, steps, {}, "a")
    assert outcome(report)["a"] == ("skipped", schedule.NO_CONTAINERS) and calls == []
    report, calls = again(workdir, steps, {"run-a": Reply(1)}, "a", "b", kind="docker")
    assert calls == ["run-a"] and outcome(report)["b"] == ("skipped", "needs Step a (a), which failed")


@pytest.mark.parametrize(
    ("gpu", "standing_in", "runs"), [(False, (), False), (True, (), True), (False, ("tensorrt",), True)]
)
def test_tensorrt_needs_a_gpu_or_the_stand_in(workdir: Path, gpu: bool, standing_in: tuple, runs: bool) -> None:
    steps = [step("a"), step("b", needs_gpu=True), step("c", needs=("a", "b"), needs_gpu=True), step("d", needs=("a",))]
    fake = FakeRuntime(workdir, gpu=gpu, standing_in=standing_in)
    found = outcome(runner.run_tests(workdir, MODEL, "full", runtime=fake, steps=steps))
    expected = ("passed", "fine") if runs else ("skipped", schedule.NO_GPU)
    assert schedule.NO_GPU.startswith("no GPU")
    assert found == {"a": ("passed", "fine"), "b": expected, "c": expected, "d": ("passed", "fine")}


def test_a_runtime_that_cannot_tell_its_stand_ins_fails_the_step_not_the_run(workdir: Path) -> None:
    class Broken(FakeRuntime):
        def stand_ins(self, workdir: Path) -> list[str]:
            raise UserError("The image is not there.")

    steps = [step("a", context=HOST), step("b"), step("c", needs_gpu=True), step("d", context=HOST)]
    found = outcome(runner.run_tests(workdir, MODEL, "full", runtime=Broken(workdir), steps=steps))
    assert found["b"] == found["c"] == ("failed", "The image is not there.")
    assert found["a"][0] == found["d"][0] == "passed"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("17", "17"),
        ("17-19", "17 18 19"),
        ("16", "16 16.origin"),
        ("16-17", "16 16.origin 17"),
        ("23.fp16, 22.train", "22.train 23.fp16"),
        ("23", "23 23.fp16 23.int8"),
        ("consistency,25", "consistency 25"),
        ("20-22.train", None),
        ("26", None),
        ("18-17", None),
        ("", None),
        ("17,", None),
        ("17..19", None),
        ("-1", None),
    ],
)
def test_what_a_list_of_steps_means(text: str, ids: str | None) -> None:
    if ids is None:
        with pytest.raises(UserError, match=r"no step .*; the steps are 16, 16\.origin, consistency"):
            selection.parse(text, STEPS)
    else:
        assert selection.parse(text, STEPS) == ids.split()


def test_22_means_the_whole_chain_and_every_step_stands_behind_what_it_needs() -> None:
    assert selection.parse("22", STEPS) == [step.id for step in STEPS if step.id.startswith("22.")]
    ids = [step.id for step in STEPS]
    assert len(set(ids)) == len(ids)
    assert all(ids.index(need) < ids.index(step.id) for step in STEPS for need in step.needs)


# ---------------------------------------------------------------- going on after a failure


def test_resume_runs_what_failed_and_what_was_not_reached_with_the_same_data_and_settings(workdir: Path) -> None:
    data = workdir / "data"
    for name in ("train", "val", "test"):
        (data / name).mkdir(parents=True)
    (data / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    seen: list[tuple] = []

    def note(job: Job) -> str:
        seen.append((job.data, job.settings))
        return "fine"

    steps = [step("a"), step("b", quick=False), step("c", needs=("b",), gate=note), step("d", optional=True)]
    fake = FakeRuntime(workdir, {"run-b": Reply(1)})
    runner.run_tests(workdir, MODEL, "full", data, ["train.num_epochs=2"], runtime=fake, steps=steps)
    fake = FakeRuntime(workdir)
    report = runner.resume(workdir, MODEL, runtime=fake, steps=steps)
    assert [argv[0] for _, argv, _ in fake.calls] == ["run-b", "run-c"]
    assert seen == [(data, ("train.num_epochs=2",))]
    assert (report["level"], report["data"], report["settings"]) == ("full", str(data), ["train.num_epochs=2"])
    assert {entry["status"] for entry in report["steps"][:3]} == {"passed"}
    assert runner.resume(workdir, MODEL, runtime=FakeRuntime(workdir), steps=steps) is None


def test_resume_after_ctrl_c_in_a_quick_test_stays_quick(workdir: Path) -> None:
    steps = [step("a"), step("b"), step("c", quick=False), step("d")]
    with pytest.raises(KeyboardInterrupt):
        run(workdir, steps, {"run-b": KeyboardInterrupt()}, level="quick")
    fake = FakeRuntime(workdir)
    found = outcome(runner.resume(workdir, MODEL, runtime=fake, steps=steps))
    assert [argv[0] for _, argv, _ in fake.calls] == ["run-b", "run-d"]
    assert found["c"] == ("skipped", schedule.NOT_QUICK)


def test_resume_without_a_test_or_with_one_of_another_runtime_is_refused(workdir: Path) -> None:
    with pytest.raises(UserError, match="not tested yet"):
        runner.resume(workdir, MODEL)
    run(workdir, [step("a")], {"run-a": Reply(1)})
    (workdir / ".tao-hf" / "workdir.json").write_text(json.dumps({"runtime": "docker"}), encoding="utf-8")
    with pytest.raises(UserError, match="ran with runtime=local"):
        runner.resume(workdir, MODEL)


def test_figures_of_steps_that_run_again_are_forgotten_and_the_others_are_kept(workdir: Path) -> None:
    def measure(name: str, value: float) -> Callable[[Job], str]:
        def gate(job: Job) -> str:
            job.figures[name] = {"top_1_accuracy": value}
            return "fine"

        return gate

    steps = [
        step("a", gate=measure("native", 0.5), figure="native"),
        step("b", gate=measure("deployed", 0.5), figure="deployed"),
    ]
    run(workdir, steps, {})
    report, _ = again(workdir, steps, {"run-b": Reply(1)}, "b")
    assert report["metrics"] == {"native": {"top_1_accuracy": 0.5}, "deployed": None}


def test_logs_of_an_earlier_test_do_not_stay_beside_a_new_one(workdir: Path) -> None:
    old = workdir / ".tao-hf" / MODEL / "logs" / "22.train.log"
    old.parent.mkdir()
    old.write_text("old", encoding="utf-8")
    again(workdir, [step("a")], {}, "a")
    assert old.exists()
    run(workdir, [step("a")], {})
    assert not old.exists()


# ---------------------------------------------------------------- what a person is told


def test_a_known_failure_is_explained_on_the_terminal_and_in_the_report(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["the container was stopped from outside (killed, or out of memory)"]
    report = run(workdir, [step("a"), step("b")], {"run-a": Reply(137, lines), "run-b": Reply(1, ["something else"])})
    known, unknown = report["steps"]
    assert set(known["advice"]) == {"symptom", "cause", "fix"} and unknown["advice"] is None
    shown = capsys.readouterr().err
    assert f"likely cause: {known['advice']['cause']}" in shown and f"fix: {known['advice']['fix']}" in shown
    assert shown.count("likely cause") == 1
    assert known["advice"]["fix"].split("`")[0] in (workdir / f".tao-hf/{MODEL}/report.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------- images, on an engine that is played


@pytest.fixture
def engine_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets which images there are and what released packages each holds."""

    def play(**held: list[str]) -> None:
        named = {engine.prepared(component): packages for component, packages in held.items()}
        monkeypatch.setattr(engine, "has_image", lambda image: image in named)
        monkeypatch.setattr(images, "released_packages", lambda image: named[image])

    return play


def images_step(workdir: Path) -> tuple[str, str]:
    """Run step 16 alone, in a Docker runtime that is played; return its status and reason."""
    report, _ = again(workdir, list(STEPS), {}, "16", kind="docker")
    return outcome(report)["16"]


def test_prepared_images_pass(workdir: Path, engine_with: Callable[..., None]) -> None:
    engine_with(pytorch=[], deploy=[], dataservices=[])
    status, reason = images_step(workdir)
    assert status == "passed" and "dataservices" in reason
    engine_with(pytorch=[], deploy=[])
    status, reason = images_step(workdir)
    assert status == "passed" and "dataservices" not in reason


def test_a_missing_image_says_how_to_make_it_and_keeps_the_rest_from_running(
    workdir: Path, engine_with: Callable[..., None]
) -> None:
    engine_with(deploy=[])
    fake = FakeRuntime(workdir, kind="docker")
    found = outcome(runner.run_tests(workdir, MODEL, "full", runtime=fake))
    assert found["16"][0] == "failed" and "./tao-hf phase0 --pytorch-image" in found["16"][1]
    assert {status for step_id, (status, _) in found.items() if step_id != "16"} == {"skipped"}
    assert fake.calls == []


def test_a_released_package_in_an_image_is_named(workdir: Path, engine_with: Callable[..., None]) -> None:
    engine_with(pytorch=[], deploy=["nvidia-tao-deploy 7.0.1"])
    status, reason = images_step(workdir)
    assert status == "failed" and "nvidia-tao-deploy 7.0.1" in reason and "phase0" in reason


def test_the_origin_of_tao_core_is_proved_in_both_contexts_and_as_installed_only_in_containers(workdir: Path) -> None:
    for kind in ("local", "docker"):
        fake = FakeRuntime(workdir, kind=kind)
        runner.run_tests(workdir, MODEL, "full", runtime=fake, steps=[step for step in STEPS if step.id == "16.origin"])
        proofs = [(context, argv[3:]) for context, argv, _ in fake.calls if argv[2].endswith("check.origin")]
        options = ["/workspace", MODEL, *(["--installed"] if kind == "docker" else [])]
        assert proofs == [("pytorch", options), ("deploy", options)]


def pytest_of_step_17(workdir: Path) -> list[str]:
    """Return the command that tests tao-core."""
    fake = FakeRuntime(workdir)
    runner.run_tests(workdir, MODEL, "quick", runtime=fake, steps=[step for step in STEPS if step.id == "17"])
    (argv,) = (argv for _, argv, _ in fake.calls if argv[:3] == ["python", "-m", "pytest"])
    return argv


def test_a_working_directory_named_like_the_model_makes_no_test_the_models(
    workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of tao-core those tests run that are the model's, not all because the folder above has its name."""
    named = Path(shutil.copytree(workdir, tmp_path_factory.mktemp("home") / MODEL))
    for name in (f"tests/{MODEL}/test_config.py", f"tests/test_{MODEL}.py", "nvidia_tao_core/api/test_app.py"):
        PlayedTao.write(named / "tao-core" / name, "")
    ours = [f"tests/test_{MODEL}.py", f"tests/{MODEL}/test_config.py"]
    assert [each for each in pytest_of_step_17(named) if each.endswith(".py")] == ours


@pytest.mark.parametrize(
    ("file", "text", "own"),
    [
        ("tao-core/pytest.ini", "[pytest]", True),
        ("tao-core/tests/setup.cfg", "[tool:pytest]", True),
        ("tao-core/pyproject.toml", "[tool.ruff]", False),
        ("pyproject.toml", "[tool.pytest.ini_options]", False),
    ],
)
def test_settings_of_pytest_are_the_clones_or_none(workdir: Path, file: str, text: str, own: bool) -> None:
    """Those of a project that the working directory lies in are not for the generated tests."""
    PlayedTao.write(workdir / "tao-core" / f"tests/test_{MODEL}.py", "")
    PlayedTao.write(workdir / file, text)
    assert (pytest_of_step_17(workdir)[-4:] == ["-c", "/dev/null", "--rootdir", "."]) != own


# ---------------------------------------------------------------- the steps themselves, on a runtime that plays TAO


class PlayedTao:
    """Writes what TAO's commands would write, with predictions that agree."""

    def __init__(self, workdir: Path) -> None:
        """Play in `workdir`."""
        self.logs, self.results = (workdir / ".tao-hf" / MODEL / name for name in ("logs", "results"))
        self.runtime = FakeRuntime(workdir)
        self.runtime.replies = {
            "check.consistency": Reply(effect=lambda: self.write(self.logs / "consistency.json", FINDINGS)),
            "18.xml": Reply(effect=lambda: self.write(self.logs / "18.xml", JUNIT)),
            "19.xml": Reply(effect=lambda: self.write(self.logs / "19.xml", JUNIT)),
            "tools.dataset": Reply(effect=self.images),
            "tools.specs": Reply(effect=self.specs),
            "train": Reply(effect=lambda: self.write(self.results / f"train/{MODEL}_model_latest.pth", "weights")),
            "export": Reply(effect=lambda: self.write(self.results / f"export/{MODEL}.onnx", "graph")),
            "gen_trt_engine": Reply(effect=lambda: self.write(self.results / f"trt/{MODEL}.engine", "engine")),
            "evaluate": Reply(effect=lambda: self.metrics("evaluate", loss=0.1)),
            "inference": Reply(effect=lambda: self.predictions("inference")),
            "inference.yaml": Reply(effect=lambda: self.predictions("trt_inference")),
            "evaluate.yaml": Reply(effect=lambda: self.metrics("trt_evaluate")),
            "engine_fp16": Reply(effect=lambda: self.write(self.results / f"trt/{MODEL}_fp16.engine", "engine")),
            "inference_fp16.yaml": Reply(effect=lambda: self.predictions("trt_inference_fp16")),
            "engine_int8": Reply(effect=self.int8),
            "evaluate_int8.yaml": Reply(effect=lambda: self.metrics("trt_evaluate_int8")),
            "23.json": Reply(effect=self.compared),
            "23.fp16.json": Reply(effect=lambda: self.compared("23.fp16", precision="FP16", max_abs_diff=1e-3)),
            "21-tao-pytorch": Reply(effect=lambda: self.wheel("tao-pytorch")),
            "21-tao-deploy": Reply(effect=lambda: self.wheel("tao-deploy")),
        }

    @staticmethod
    def write(path: Path, text: str) -> None:
        """Write a file, making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def images(self) -> None:
        """Write the test split."""
        for index in range(TEST_IMAGES):
            self.write(self.results / f"data/test/class_{index % 2}/{index}.png", "")

    def specs(self) -> None:
        """Write the spec files that the job names."""
        for spec in json.loads((self.results / "specs.json").read_text(encoding="utf-8"))["specs"]:
            self.write(self.runtime.workdir / spec["out"].removeprefix("/workspace/"), "spec")

    def int8(self) -> None:
        """Write the INT8 engine, and what its layers lose."""
        self.write(self.results / f"trt/{MODEL}_int8.engine", "engine")
        layers = {"decibels": {"a": 12.0, "b": 26.0, "c": 27.0, "d": 28.0, "e": 29.0}, "kept": ["a"]}
        self.write(self.results / f"trt/{MODEL}_int8.engine.layers.json", json.dumps(layers))

    def metrics(self, folder: str, **more: float) -> None:
        """Write results.json."""
        found = {"top_1_accuracy": 0.9, "num_images": TEST_IMAGES, **more}
        self.write(self.results / folder / "results.json", json.dumps(found))

    def predictions(self, folder: str, count: int = TEST_IMAGES) -> None:
        """Write result.csv."""
        path = self.results / folder / "result.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = [[f"{index % TEST_IMAGES}.png", 1, 2, "class_1", 0.7] for index in range(count)]
            csv.writer(file).writerows([["img_name", "class_0", "class_1", "pred_label", "pred_score"], *rows])

    def wheel(
        self, clone: str, without: str = "", command: str = "", broken: bool = False, **record: object
    ) -> None:
        """Write a clone's wheel with the model in it, less what ends with or names `without`, and the record of it."""
        package, dist = clone.replace("tao-", "nvidia_tao_"), self.runtime.workdir / clone / "dist"
        dist.mkdir(parents=True, exist_ok=True)
        name = f"{package}-7.0.1-py3-none-any.whl"
        self.write(self.logs / f"21-{clone}.json", json.dumps({"wheel": name, "reason": "", **record}))
        target = command or f"{package}.cv.{MODEL}.entrypoint.{MODEL}:main"
        entries = ["[console_scripts]", "other=x:main", *([] if without == MODEL else [f"{MODEL} = {target}"])]
        with zipfile.ZipFile(dist / name, "w") as archive:
            archive.writestr(f"{package}-7.0.1.dist-info/entry_points.txt", "\n".join(entries))
            for file in INFO["files"]:
                if file.startswith(f"{clone}/") and file != DEPLOY_SPEC and not (without and file.endswith(without)):
                    archive.writestr(file.removeprefix(f"{clone}/"), "")
        if broken:
            (dist / name).write_text("no zip", encoding="utf-8")

    def compared(self, step_id: str = "23", **more: object) -> None:
        """Write the comparison's JSON."""
        result = {
            "images": TEST_IMAGES, "agreement": 1.0, "max_abs_diff": 1e-6, "precision": "FP32", "words": WORDS,
            "problems": [],
        }  # fmt: skip
        self.write(self.logs / f"{step_id}.json", json.dumps({**result, **more}))


FINDINGS = json.dumps({"findings": [{"item": "x", "title": "All agree", "ok": True, "detail": ""}]})
JUNIT = '<testsuites><testsuite tests="2"><testcase name="test_a"/><testcase name="test_b"/></testsuite></testsuites>'


@pytest.fixture
def tao(workdir: Path) -> PlayedTao:
    """Return a TAO on which every step passes."""
    return PlayedTao(workdir)


def run_all(tao: PlayedTao, **kwargs: Any) -> dict[str, Any]:
    """Run the real steps, full, and return the report."""
    return runner.run_tests(tao.runtime.workdir, MODEL, "full", runtime=tao.runtime, **kwargs)


def test_the_whole_chain_passes_through_the_models_own_commands_in_their_contexts(tao: PlayedTao) -> None:
    report = run_all(tao)
    expected = {step.id: "skipped" if step.docker_only or step.needs_data else "passed" for step in STEPS}
    assert {step: status for step, (status, _) in outcome(report).items()} == expected
    chain = [(context, argv[:2]) for context, argv, _ in tao.runtime.calls if argv[0] == MODEL]
    assert chain == [
        ("pytorch", [MODEL, "train"]),
        ("pytorch", [MODEL, "evaluate"]),
        ("pytorch", [MODEL, "inference"]),
        ("pytorch", [MODEL, "export"]),
        ("deploy", [MODEL, "gen_trt_engine"]),
        ("deploy", [MODEL, "inference"]),
        ("deploy", [MODEL, "evaluate"]),
        ("deploy", [MODEL, "gen_trt_engine"]),
        ("deploy", [MODEL, "inference"]),
    ]
    assert report["metrics"] == {
        "native": {"top_1_accuracy": 0.9, "num_images": TEST_IMAGES, "loss": 0.1},
        "deployed": {"top_1_accuracy": 0.9, "num_images": TEST_IMAGES},
    }
    assert report["cross_check"] == {
        "images": TEST_IMAGES, "agreement": 1.0, "max_abs_diff": 1e-6, "precision": "FP32", "words": WORDS,
    }  # fmt: skip
    assert report["cross_check_fp16"] == {**report["cross_check"], "max_abs_diff": 1e-3, "precision": "FP16"}


@pytest.mark.parametrize(
    ("kpi", "words"),
    [
        ({"onnx_max_abs_diff": 1.2e-6, "onnx_images": 8}, ", differs from the model by 1.2e-06 on 8 images"),
        (
            {"onnx_max_abs_diff": 0.3, "onnx_images": 8, "onnx_model_own_diff": 0.2},
            ", differs from the model by 0.3 on 8 images, as rounding makes it differ from itself",
        ),
        ({}, ""),
    ],
)
def test_the_export_says_how_far_it_is_from_the_model(tao: PlayedTao, kpi: dict[str, float], words: str) -> None:
    written = tao.runtime.replies["export"].effect

    def export() -> None:
        written()
        lines = [{"status": "STARTED"}, {"status": "RUNNING", "kpi": kpi}]
        tao.write(tao.results / "export" / "status.json", "\n".join(map(json.dumps, lines)) + "\n")

    tao.runtime.replies["export"] = Reply(effect=export)
    status, reason = outcome(run_all(tao))["22.export"]
    assert status == "passed" and reason.startswith(f"{MODEL}.onnx, ") and reason.endswith(f"B{words}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a dataset of the person's own, whose 20 training images make two batches."""
    for split, count in (("train", 20), ("val", 1), ("test", TEST_IMAGES)):
        for index in range(count):
            PlayedTao.write(tmp_path / "own" / split / "cat" / f"{index}.png", "")
    PlayedTao.write(tmp_path / "own" / "classes.txt", "cat\ndog\n")
    return tmp_path / "own"


def test_int8_is_calibrated_on_the_training_images_and_may_lose_less_than_a_hundredth(
    tao: PlayedTao, data: Path
) -> None:
    assert outcome(run_all(tao))["23.int8"] == ("skipped", schedule.NO_DATA)
    tao.runtime.replies["evaluate_int8.yaml"] = Reply(
        effect=lambda: tao.metrics("trt_evaluate_int8", top_1_accuracy=0.891)
    )
    report = run_all(tao, data=data)
    said = "top_1_accuracy 0.8910 instead of 0.9000, loses 0.0090, 1 layer kept in FP32"
    assert outcome(report)["23.int8"] == ("passed", said)
    assert report["int8"] == {
        "metric": "top_1_accuracy", "native": 0.9, "deployed": 0.891, "loss": pytest.approx(0.009), "kept": ["a"],
        "images": TEST_IMAGES,
    }  # fmt: skip
    assert report["metrics"]["deployed"]["top_1_accuracy"] == 0.9
    specs = json.loads((tao.results / "specs.json").read_text(encoding="utf-8"))["specs"]
    values = next(spec["values"] for spec in specs if spec["out"].endswith("gen_trt_engine_int8.yaml"))
    assert values["gen_trt_engine.tensorrt.data_type"] == "INT8"
    prefix = "gen_trt_engine.tensorrt.calibration."
    assert values[f"{prefix}cal_image_dir"] == [tao.runtime.path(data / "train")]
    assert (values[f"{prefix}cal_batches"], values[f"{prefix}cal_batch_size"]) == (2, 8)


def test_int8_that_loses_more_fails_with_the_layers_to_keep(tao: PlayedTao, data: Path) -> None:
    tao.runtime.replies["evaluate_int8.yaml"] = Reply(
        effect=lambda: tao.metrics("trt_evaluate_int8", top_1_accuracy=0.889)
    )
    status, reason = outcome(run_all(tao, data=data))["23.int8"]
    assert status == "failed" and "loses 0.0110" in reason
    assert "layers_precision=[b:fp32,c:fp32,d:fp32]'" in reason  # a is kept already
    tao.runtime.replies["engine_int8"] = Reply()
    assert "INT8 engine is missing" in outcome(run_all(tao, data=data))["23.int8"][1]


def test_int8_may_raise_what_is_best_when_low_by_less_than_a_hundredth(tao: PlayedTao, data: Path) -> None:
    record = tao.runtime.workdir / ".tao-hf" / MODEL / "model.json"
    record.write_text(json.dumps({**json.loads(record.read_text(encoding="utf-8")), "best_metric": "lowest"}))
    for error, status in ((0.2, "passed"), (0.909, "passed"), (0.911, "failed")):
        tao.runtime.replies["evaluate_int8.yaml"] = Reply(
            effect=lambda error=error: tao.metrics("trt_evaluate_int8", top_1_accuracy=error)
        )
        assert outcome(run_all(tao, data=data))["23.int8"][0] == status, error


def test_no_command_names_a_path_of_the_host(tao: PlayedTao) -> None:
    run_all(tao)
    host = str(tao.runtime.workdir)
    assert not [argv for _, argv, _ in tao.runtime.calls if any(host in word for word in argv)]
    assert host not in (tao.results / "specs.json").read_text(encoding="utf-8")


def test_lint_sees_the_generated_files_that_are_still_there_each_in_its_context(tao: PlayedTao) -> None:
    run_all(tao)
    tool = ["tao_hf.in_runtime.check.lint"]
    linted = {context: argv[3:] for context, argv, _ in tao.runtime.calls if argv[2:3] == tool}
    assert linted == {"pytorch": [CORE_FILE, PYTORCH_FILE], "deploy": [DEPLOY_INIT, DEPLOY_FILE]}


def test_the_person_s_settings_reach_the_specs_as_they_are(tao: PlayedTao) -> None:
    settings = ["train.num_epochs=3", "model.head.topk=[1, 3]", "wandb.name=two words"]
    run_all(tao, overrides=settings)
    job = json.loads((tao.results / "specs.json").read_text(encoding="utf-8"))
    assert job["settings"] == settings
    values = {Path(spec["out"]).stem: spec["values"] for spec in job["specs"]}
    assert values["gen_trt_engine"]["gen_trt_engine.tensorrt.data_type"] == "FP32"
    assert values["gen_trt_engine_fp16"]["gen_trt_engine.tensorrt.data_type"] == "FP16"
    assert values["inference_fp16"]["inference.trt_engine"].endswith(f"/trt/{MODEL}_fp16.engine")
    assert values["inference_fp16"]["inference.results_dir"].endswith("/trt_inference_fp16")
    assert (
        values["experiment_spec"]["dataset.num_classes"] == 4
    )  # of 1000: the dataset is synthetic
    assert values["experiment_spec"]["export.onnx_file"] == values["gen_trt_engine"]["gen_trt_engine.onnx_file"]
    assert values["inference"]["inference.trt_engine"] == values["gen_trt_engine"]["gen_trt_engine.trt_engine"]


def test_a_full_run_starts_from_nothing_or_training_would_resume(tao: PlayedTao) -> None:
    old = tao.results / "train" / "model_001.pth"
    tao.write(old, "old")
    run_all(tao)
    assert not old.exists()


@pytest.mark.parametrize(
    ("word", "reply", "step_id", "said"),
    [
        ("train", lambda tao: None, "22.train", "checkpoint is missing or empty"),
        (
            "export",
            lambda tao: tao.write(tao.results / f"export/{MODEL}.onnx", ""),
            "22.export",
            "ONNX file is missing",
        ),
        ("gen_trt_engine", lambda tao: None, "22.gen_trt_engine", "engine is missing"),
        ("inference", lambda tao: tao.predictions("inference", 5), "22.inference", "5 rows (5 images)"),
        ("inference.yaml", lambda tao: tao.predictions("trt_inference", 7), "22.trt_inference", "7 rows (6 images)"),
        ("evaluate", lambda tao: tao.metrics("evaluate", loss=math.nan), "22.evaluate", "not finite"),
        ("evaluate", lambda tao: tao.metrics("evaluate", num_images=5), "22.evaluate", "counts 5 images"),
        ("evaluate", lambda tao: tao.write(tao.results / "evaluate/results.json", "{}"), "22.evaluate", "no metric"),
        (
            "evaluate",
            lambda tao: tao.write(tao.results / "evaluate/results.json", "{"),
            "22.evaluate",
            "not valid JSON",
        ),
        (
            "evaluate.yaml",
            lambda tao: tao.write(tao.results / "trt_evaluate/results.json", '{"miou": 0.5}'),
            "22.trt_evaluate",
            "no metric in common",
        ),
        ("23.json", lambda tao: tao.compared(problems=["only 50% agree"]), "23", "only 50% agree"),
        ("23.fp16.json", lambda tao: tao.compared("23.fp16", problems=["too far"]), "23.fp16", "too far"),
        ("engine_fp16", lambda tao: None, "23.fp16", "FP16 engine is missing"),
        ("inference_fp16.yaml", lambda tao: tao.predictions("trt_inference_fp16", 1), "23.fp16", "1 rows (1 images)"),
        ("21-tao-pytorch", lambda tao: None, "21", "record of the tao-pytorch wheel is missing"),
        ("21-tao-deploy", lambda tao: tao.wheel("tao-deploy", wheel="x.whl"), "21", "tao-deploy wheel is missing"),
        ("21-tao-deploy", lambda tao: tao.wheel("tao-deploy", without=".json"), "21", f"such as {DEPLOY_DATA}"),
        ("21-tao-deploy", lambda tao: tao.wheel("tao-deploy", without=f"{MODEL}.py"), "21", f"such as {DEPLOY_FILE}"),
        ("21-tao-pytorch", lambda tao: tao.wheel("tao-pytorch", without=MODEL), "21", f"the console command {MODEL}"),
        (
            "21-tao-pytorch",
            lambda tao: tao.wheel("tao-pytorch", command="nvidia_tao_pytorch.gone:main"),
            "21",
            "names nvidia_tao_pytorch.gone:main, which is not in it",
        ),
        ("21-tao-pytorch", lambda tao: tao.wheel("tao-pytorch", broken=True), "21", "cannot be read: "),
        ("tools.dataset", lambda tao: None, "22.prepare", "no images under"),
    ],
)
def test_a_step_whose_artifact_is_wrong_fails_although_its_command_ended_well(
    tao: PlayedTao, word: str, reply: Callable[[PlayedTao], None], step_id: str, said: str
) -> None:
    tao.runtime.replies[word] = Reply(effect=lambda: reply(tao))
    status, reason = outcome(run_all(tao))[step_id]
    assert status == "failed"
    assert said in reason


def test_a_wheel_that_cannot_be_built_without_nvcc_is_said_and_fails_nothing(tao: PlayedTao) -> None:
    record = json.dumps({"wheel": None, "reason": "no nvcc here"})
    reply = Reply(effect=lambda: tao.write(tao.logs / "21-tao-pytorch.json", record))
    tao.runtime.replies["21-tao-pytorch"] = reply
    status, reason = outcome(run_all(tao))["21"]
    assert status == "passed"
    assert "tao-pytorch not built: no nvcc here" in reason and "tao-deploy/dist/" in reason


def test_an_earlier_wheel_does_not_pass_for_this_runs(tao: PlayedTao) -> None:
    run_all(tao)
    tao.runtime.replies["21-tao-deploy"] = Reply()
    report = runner.run_tests(tao.runtime.workdir, MODEL, "full", runtime=tao.runtime, selected=["21"])
    assert outcome(report)["21"][0] == "failed" and "tao-deploy wheel is missing" in outcome(report)["21"][1]


def test_a_shell_that_does_not_find_the_command_fails(tao: PlayedTao) -> None:
    tao.runtime.replies["command -v"] = Reply(127)
    assert outcome(run_all(tao))["24"] == ("failed", "exit code 127: $ sh -c 'command -v tiny_vit'")


def test_failing_tests_are_counted_and_the_first_is_named(tao: PlayedTao) -> None:
    failure = '<testcase name="test_fit"><failure message="nan loss"/></testcase>'
    junit = f'<testsuite><testcase name="test_a"/>{failure}</testsuite>'
    tao.runtime.replies["18.xml"] = Reply(1, ["E  nan"], lambda: tao.write(tao.logs / "18.xml", junit))
    found = outcome(run_all(tao))
    assert found["18"] == ("failed", "1 of 2 tests failed; the first is test_fit: nan loss")


def test_no_test_at_all_is_a_failure_with_pytests_own_words(tao: PlayedTao) -> None:
    junit = '<testsuite><testcase name="test_a"><skipped/></testcase></testsuite>'
    tao.runtime.replies["18.xml"] = Reply(0, [], lambda: tao.write(tao.logs / "18.xml", junit))
    tao.runtime.replies["19.xml"] = Reply(4, ["ERROR: file or directory not found: tests/tiny_vit", ""])
    found = outcome(run_all(tao))
    assert found["18"] == ("failed", "no test ran (1 skipped)")
    assert found["19"] == ("failed", "exit code 4: ERROR: file or directory not found: tests/tiny_vit")


def test_broken_items_are_named_in_the_report(tao: PlayedTao) -> None:
    findings = {"findings": [{"title": "Sizes agree", "ok": False}, {"title": "Names agree", "ok": True}]}
    reply = Reply(1, ["…"], lambda: tao.write(tao.logs / "consistency.json", json.dumps(findings)))
    tao.runtime.replies["check.consistency"] = reply
    assert outcome(run_all(tao))["consistency"] == ("failed", "1 of 2 items are broken: Sizes agree")


def test_without_a_checkpoint_the_rest_of_the_chain_is_skipped_not_tried(tao: PlayedTao) -> None:
    tao.runtime.replies["train"] = Reply(1, ["RuntimeError: no memory"])
    found = outcome(run_all(tao))
    assert found["22.train"] == ("failed", "exit code 1: RuntimeError: no memory")
    chain = [step.id for step in STEPS if step.id.startswith(("22.", "23"))]
    rest = chain[chain.index("22.train") + 1 :]
    assert {found[name][0] for name in rest} == {"skipped"}
    assert found["24"][0] == "passed"
    assert not [argv for _, argv, _ in tao.runtime.calls if argv[:2] == [MODEL, "export"]]


def test_a_path_that_taos_launcher_would_split_is_refused_before_training(tmp_path: Path) -> None:
    root = tmp_path / "my work"
    home = root / ".tao-hf" / MODEL
    home.mkdir(parents=True)
    (home / "model.json").write_text(json.dumps(INFO), encoding="utf-8")
    tao = PlayedTao(root)
    tao.runtime.path = str
    status, reason = outcome(run_all(tao))["22.prepare"]
    assert status == "failed" and "blanks or quotes" in reason


DATA_SETTINGS = ("dataset.test_dataset.images_dir", "dataset.train_data_sources")


@pytest.mark.parametrize("setting", ["train.num_epochs", "=3", "train num_epochs=3", "--help", "+train.x=1", "a..b=1"])
def test_a_setting_must_be_key_value(setting: str) -> None:
    with pytest.raises(UserError, match="key=value"):
        check_settings([setting], DATA_SETTINGS)


@pytest.mark.parametrize(
    "key",
    ["results_dir", "train.results_dir", "evaluate.checkpoint", "export.onnx_file", "inference.trt_engine",
     "dataset.root_dir", "dataset.test_dataset.images_dir", "dataset.train_data_sources.image_dir",
     "gen_trt_engine.tensorrt.data_type"],
)  # fmt: skip
def test_what_the_run_decides_cannot_be_set(key: str) -> None:
    with pytest.raises(UserError, match=key):
        check_settings([f"{key}=x"], DATA_SETTINGS)
    check_settings(["train.optim.lr=0.001", "model.backbone.pretrained_backbone_path=/x.pth"], DATA_SETTINGS)


def test_a_dataset_must_be_laid_out_as_tao_wants_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes\.txt"):
        check_data(tmp_path, [], True)
    (tmp_path / "classes.txt").write_text("cat\n", encoding="utf-8")
    with pytest.raises(UserError, match="at least two"):
        check_data(tmp_path, [], True)
    (tmp_path / "classes.txt").write_text("dog\ncat\n", encoding="utf-8")
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="val/"):
        check_data(tmp_path, [], True)
    (tmp_path / "val").mkdir()
    (tmp_path / "test").mkdir()
    assert check_data(tmp_path, [], True) == ["dog", "cat"]
    with pytest.raises(UserError, match=r"annotations/train\.json"):
        check_data(tmp_path, ["annotations/train.json"], True)


def test_a_dataset_may_be_laid_out_as_those_of_tao_s_reference_models(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("\ufeffdog\r\ncat\r\n".encode())
    for split in ("train", "val", "test"):
        (tmp_path / "images" / split / ".ipynb_checkpoints").mkdir(parents=True)
        (tmp_path / "masks" / split).mkdir(parents=True)
    assert check_data(tmp_path, ["masks/train"], True) == ["dog", "cat"]
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a.png", "notes.txt"):
        (tmp_path / "images" / "test" / name).touch()
    assert count_images(images_folder(tmp_path, "test")) == 1
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "annotations.json").touch()
    assert check_data(tmp_path, ["annotations/train.json"], True) == ["dog", "cat"]
