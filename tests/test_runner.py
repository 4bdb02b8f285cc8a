"""Running the steps: order, logs, what a failure takes with it, and gates that look at artifacts, not at exit codes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import FakeRuntime, Reply
from tao_hf import runner
from tao_hf.errors import UserError
from tao_hf.steps import STEPS
from tao_hf.steps.inputs import check_data, check_settings
from tao_hf.steps.job import Command, Job, Step, StepError

MODEL = "tiny_vit"
INFO: dict[str, Any] = {
    "model_name": MODEL,
    "task_type": "image-classification",
    "hf_model_id": "acme/tiny-vit",
    "num_labels": 1000,
    "image_size": [24, 32],
    "channels": 3,
    "files": [f"tao-core/{MODEL}.py", f"tao-deploy/{MODEL}.py", f"tao-deploy/{MODEL}.yaml", "tao-core/deleted.py"],
}
TEST_IMAGES = 6


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a working directory that holds a model's record and two Python files of it."""
    home = tmp_path / ".tao-hf" / MODEL
    home.mkdir(parents=True)
    (home / "model.json").write_text(json.dumps(INFO), encoding="utf-8")
    for name in INFO["files"][:3]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def step(
    step_id: str, *, needs: tuple[str, ...] = (), quick: bool = True, gate: Callable[[Job], str] | None = None
) -> Step:
    """Return a step that runs one command named like it."""
    return Step(
        step_id, f"Step {step_id}", "pytorch", lambda job: [Command([f"run-{step_id}"])], gate or (lambda job: "fine"),
        needs, quick,
    )  # fmt: skip


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
    assert found["b"] == ("skipped", "needs a (a), which failed")
    assert found["c"] == ("skipped", "needs b (b), which was skipped")
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
    assert found["b"] == ("skipped", runner.NOT_QUICK)


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
    found = outcome(run(workdir, [STEPS[0]], {"consistency.py": Reply(0)}))
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
    monkeypatch.setattr(runner, "get_runtime", lambda kind: fake)
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
        runner.load_model(workdir, "../tiny_vit")


# ---------------------------------------------------------------- the steps themselves, on a runtime that plays TAO


class PlayedTao:
    """Writes what TAO's commands would write, with predictions that agree."""

    def __init__(self, workdir: Path) -> None:
        """Play in `workdir`."""
        self.logs, self.results = (workdir / ".tao-hf" / MODEL / name for name in ("logs", "results"))
        self.runtime = FakeRuntime(workdir)
        self.runtime.replies = {
            "consistency.py": Reply(effect=lambda: self.write(self.logs / "consistency.json", FINDINGS)),
            "18.xml": Reply(effect=lambda: self.write(self.logs / "18.xml", JUNIT)),
            "19.xml": Reply(effect=lambda: self.write(self.logs / "19.xml", JUNIT)),
            "dataset.py": Reply(effect=self.images),
            "specs.py": Reply(effect=self.specs),
            "train": Reply(effect=lambda: self.write(self.results / f"train/{MODEL}_model_latest.pth", "weights")),
            "export": Reply(effect=lambda: self.write(self.results / f"export/{MODEL}.onnx", "graph")),
            "gen_trt_engine": Reply(effect=lambda: self.write(self.results / f"trt/{MODEL}.engine", "engine")),
            "evaluate": Reply(effect=lambda: self.metrics("evaluate", loss=0.1)),
            "inference": Reply(effect=lambda: self.predictions("inference")),
            "inference.yaml": Reply(effect=lambda: self.predictions("trt_inference")),
            "evaluate.yaml": Reply(effect=lambda: self.metrics("trt_evaluate")),
            "crosscheck.py": Reply(effect=self.compared),
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

    def compared(self, **more: object) -> None:
        """Write the comparison's JSON."""
        result = {
            "images": TEST_IMAGES, "agreement": 1.0, "max_abs_diff": 1e-6, "precision": "FP32", "problems": [],
        }  # fmt: skip
        self.write(self.logs / "23.json", json.dumps({**result, **more}))


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
    assert {step: status for step, (status, _) in outcome(report).items()} == {step.id: "passed" for step in STEPS}
    chain = [(context, argv[:2]) for context, argv, _ in tao.runtime.calls if argv[0] == MODEL]
    assert chain == [
        ("pytorch", [MODEL, "train"]),
        ("pytorch", [MODEL, "evaluate"]),
        ("pytorch", [MODEL, "inference"]),
        ("pytorch", [MODEL, "export"]),
        ("deploy", [MODEL, "gen_trt_engine"]),
        ("deploy", [MODEL, "inference"]),
        ("deploy", [MODEL, "evaluate"]),
    ]
    assert report["metrics"] == {
        "native": {"top_1_accuracy": 0.9, "num_images": TEST_IMAGES, "loss": 0.1},
        "deployed": {"top_1_accuracy": 0.9, "num_images": TEST_IMAGES},
    }
    assert report["cross_check"] == {
        "images": TEST_IMAGES, "agreement": 1.0, "max_abs_diff": 1e-6, "precision": "FP32",
    }  # fmt: skip


def test_no_command_names_a_path_of_the_host(tao: PlayedTao) -> None:
    run_all(tao)
    host = str(tao.runtime.workdir)
    assert not [argv for _, argv, _ in tao.runtime.calls if any(host in word for word in argv)]
    assert host not in (tao.results / "specs.json").read_text(encoding="utf-8")


def test_lint_sees_the_generated_files_that_are_still_there_each_in_its_context(tao: PlayedTao) -> None:
    run_all(tao)
    linted = {context: argv[2:] for context, argv, _ in tao.runtime.calls if argv[1:2] == [tao_tool("lint.py")]}
    assert linted == {"pytorch": [f"tao-core/{MODEL}.py"], "deploy": [f"tao-deploy/{MODEL}.py"]}


def tao_tool(name: str) -> str:
    """Return one of the inside scripts as the runtime sees it."""
    return f"/workspace/.tao-hf/lib/tao_hf/inside/{name}"


def test_the_person_s_settings_reach_the_specs_as_they_are(tao: PlayedTao) -> None:
    settings = ["train.num_epochs=3", "model.head.topk=[1, 3]", "wandb.name=two words"]
    run_all(tao, overrides=settings, precision="FP16")
    job = json.loads((tao.results / "specs.json").read_text(encoding="utf-8"))
    assert job["settings"] == settings
    values = {Path(spec["out"]).stem: spec["values"] for spec in job["specs"]}
    assert values["gen_trt_engine"]["gen_trt_engine.tensorrt.data_type"] == "FP16"
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
        ("crosscheck.py", lambda tao: tao.compared(problems=["only 50% agree"]), "23", "only 50% agree"),
        ("dataset.py", lambda tao: None, "22.prepare", "no images under"),
    ],
)
def test_a_step_whose_artifact_is_wrong_fails_although_its_command_ended_well(
    tao: PlayedTao, word: str, reply: Callable[[PlayedTao], None], step_id: str, said: str
) -> None:
    tao.runtime.replies[word] = Reply(effect=lambda: reply(tao))
    status, reason = outcome(run_all(tao))[step_id]
    assert status == "failed"
    assert said in reason


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
    tao.runtime.replies["consistency.py"] = reply
    assert outcome(run_all(tao))["consistency"] == ("failed", "1 of 2 items are broken: Sizes agree")


def test_without_a_checkpoint_the_rest_of_the_chain_is_skipped_not_tried(tao: PlayedTao) -> None:
    tao.runtime.replies["train"] = Reply(1, ["RuntimeError: no memory"])
    found = outcome(run_all(tao))
    assert found["22.train"] == ("failed", "exit code 1: RuntimeError: no memory")
    rest = [step.id for step in STEPS[STEPS.index(next(s for s in STEPS if s.id == "22.train")) + 1 :]]
    assert {found[name][0] for name in rest} == {"skipped"}
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


@pytest.mark.parametrize("setting", ["train.num_epochs", "=3", "train num_epochs=3", "--help", "+train.x=1", "a..b=1"])
def test_a_setting_must_be_key_value(setting: str) -> None:
    with pytest.raises(UserError, match="key=value"):
        check_settings([setting])


@pytest.mark.parametrize(
    "key",
    ["results_dir", "train.results_dir", "evaluate.checkpoint", "export.onnx_file", "inference.trt_engine",
     "dataset.root_dir", "dataset.test_dataset.images_dir", "gen_trt_engine.tensorrt.data_type"],
)  # fmt: skip
def test_what_the_run_decides_cannot_be_set(key: str) -> None:
    with pytest.raises(UserError, match=key):
        check_settings([f"{key}=x"])
    check_settings(["train.optim.lr=0.001", "model.backbone.pretrained_backbone_path=/x.pth"])


def test_a_dataset_must_be_laid_out_as_tao_wants_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes\.txt"):
        check_data(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\n", encoding="utf-8")
    with pytest.raises(UserError, match="at least two"):
        check_data(tmp_path)
    (tmp_path / "classes.txt").write_text("dog\ncat\n", encoding="utf-8")
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="val/"):
        check_data(tmp_path)
    (tmp_path / "val").mkdir()
    (tmp_path / "test").mkdir()
    assert check_data(tmp_path) == ["dog", "cat"]
