"""The report: its keys, statuses that are never silently absent, whole files only, text that a person can trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tao_hf.base import atomic
from tao_hf.base.errors import UserError
from tao_hf.selftest import report

INFO = {
    "model_name": "tiny_vit",
    "task_type": "image-classification",
    "hf_model_id": "acme/tiny-vit",
    "strategy": "reuse",
    "proof": {
        "passed": True,
        "difference": 2.3e-6,
        "sizes": [[32, 32], [64, 96]],
        "weights": "random",
        "against": "tao-pytorch",
    },
}
STEPS = [("17", "tao-core tests"), ("22.train", "Train"), ("23", "Native against deployed")]
WORDS = ["same label", "largest difference of two raw outputs"]
FIGURES = {
    "engine": {"builder": "TensorRT-RTX 1.7.1", "executor": "ONNX Runtime 1.25.1"},
    "native": {"top_1_accuracy": 0.95, "loss": 0.2},
    "deployed": {"top_1_accuracy": 0.95},
    "fp32": {"images": 360, "agreement": 0.9972, "max_abs_diff": 2.5e-6, "precision": "FP32", "words": WORDS},
    "fp16": {"images": 360, "agreement": 0.9861, "max_abs_diff": 1.5e-3, "precision": "FP16", "words": WORDS},
    "int8": {
        "metric": "top_1_accuracy", "native": 0.95, "deployed": 0.945, "loss": 0.005, "kept": ["head"], "images": 360,
    },
}


@pytest.fixture
def fresh() -> dict:
    return report.new_report(INFO, "local", ["tensorrt", "eff"], STEPS, "full")


def finish(result: dict) -> dict:
    report.set_step(result, "17", "passed", seconds=1.234, reason="3 tests passed", log=".tao-hf/tiny_vit/logs/17.log")
    report.set_step(result, "22.train", "passed", seconds=60, log=".tao-hf/tiny_vit/logs/22.train.log")
    report.set_step(result, "23", "passed", seconds=0.1)
    report.set_figures(result, FIGURES)
    return result


def test_the_keys_are_those_of_the_contract(fresh: dict, tmp_path: Path) -> None:
    report.save(finish(fresh), tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert list(stored) == [
        "model_name",
        "task_type",
        "hf_model_id",
        "strategy",
        "proof",
        "runtime",
        "level",
        "data",
        "settings",
        "stand_ins",
        "steps",
        "engine",
        "metrics",
        "cross_check",
        "cross_check_fp16",
        "int8",
        "last_run",
    ]
    keys = ["id", "title", "status", "seconds", "reason", "log", "advice"]
    assert all(list(step) == keys for step in stored["steps"])
    assert set(stored["metrics"]) == {"native", "deployed"}
    for check in ("cross_check", "cross_check_fp16"):
        assert set(stored[check]) == {"images", "agreement", "max_abs_diff", "precision", "words"}
    assert report.load(tmp_path) == stored


def test_what_int8_loses_and_what_was_kept_from_it_is_said(fresh: dict) -> None:
    result = finish(fresh)
    said = "top_1_accuracy 0.9450 instead of 0.9500, loses 0.0050, 1 layer kept in FP32"
    assert f"(INT8, 360 images): {said}" in report.summary_table(result)
    assert said.replace("_", "\\_") in report.markdown(result) and "Kept in FP32: head." in report.markdown(result)
    result["int8"] = None
    assert "INT8" not in report.summary_table(result) + report.markdown(result)


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        ("TensorRT-RTX 1.7.1", "TensorRT-RTX 1.7.1 built, ONNX Runtime 1.25.1 executed"),
        (None, "no TensorRT built, ONNX Runtime 1.25.1 executed"),
        ("ONNX Runtime 1.25.1", "ONNX Runtime 1.25.1"),
    ],
)
def test_who_built_and_who_executed_the_engine_is_named(fresh: dict, builder: str | None, words: str) -> None:
    result = finish(fresh)
    result["engine"]["builder"] = builder
    assert f"Deployed ({words})" in report.markdown(result)
    assert f"deployed: {words}" in report.summary_table(result)
    assert "(TensorRT)" not in report.markdown(result)


def test_before_the_first_step_every_step_is_there_as_skipped_with_a_reason(fresh: dict) -> None:
    assert [(step["id"], step["status"]) for step in fresh["steps"]] == [(step, "skipped") for step, _ in STEPS]
    assert all(step["reason"] for step in fresh["steps"])
    assert report.verdict(fresh) == "skipped"


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_failed_or_skipped_step_must_say_why(fresh: dict, status: str) -> None:
    with pytest.raises(ValueError, match="must say why"):
        report.set_step(fresh, "17", status)


def test_unknown_statuses_and_steps_are_refused(fresh: dict) -> None:
    with pytest.raises(ValueError, match="unknown status"):
        report.set_step(fresh, "17", "ok")
    with pytest.raises(ValueError, match="no step"):
        report.set_step(fresh, "99", "passed")


def test_one_failed_step_is_the_verdict(fresh: dict) -> None:
    assert report.verdict(finish(fresh)) == "passed"
    report.set_step(fresh, "22.train", "failed", reason="exit code 1: RuntimeError")
    assert report.verdict(fresh) == "failed"
    assert "FAILED (2 passed, 1 failed)" in report.summary_table(fresh)


def test_figures_come_back_as_they_were_recorded_and_those_left_out_are_emptied(fresh: dict) -> None:
    assert {name: figure["images"] for name, figure in report.figures_of(fresh).items()} == {"fp32": None, "fp16": None}
    report.set_figures(fresh, FIGURES)
    assert report.figures_of(fresh) == FIGURES
    report.set_figures(fresh, {"native": FIGURES["native"]})
    assert fresh["metrics"] == {"native": FIGURES["native"], "deployed": None}
    assert fresh["cross_check_fp16"]["images"] is None and fresh["cross_check_fp16"]["precision"] == "FP16"


def test_what_failed_or_was_kept_from_running_is_unfinished(fresh: dict) -> None:
    assert report.unfinished(fresh) == ["17", "22.train", "23"]
    report.set_step(fresh, "17", "passed")
    report.set_step(fresh, "22.train", "failed", reason="exit code 1")
    report.set_step(fresh, "23", "skipped", reason="no GPU")
    assert report.unfinished(fresh) == ["22.train"]
    report.set_step(fresh, "23", "skipped", reason="needs Train (22.train), which failed")
    assert report.unfinished(fresh) == ["22.train", "23"]
    fresh["last_run"] = ["17"]
    assert report.succeeded(fresh)
    fresh["last_run"] = ["17", "23"]
    assert not report.succeeded(fresh)


def test_advice_is_in_the_report_that_people_read(fresh: dict) -> None:
    advice = {"symptom": "Out | of memory", "cause": "The batch is too large.", "fix": "Lower dataset.batch_size."}
    report.set_step(fresh, "22.train", "failed", reason="exit code 1", advice=advice)
    text = report.markdown(fresh)
    assert "- **Train**: Out \\| of memory" in text
    assert "likely cause: The batch is too large." in text and "fix: Lower dataset.batch\\_size." in text
    report.set_step(fresh, "22.train", "passed")
    assert "likely cause" not in report.markdown(fresh)
    assert fresh["steps"][1]["advice"] is None


def test_a_write_that_fails_leaves_the_old_report(fresh: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report.save(fresh, tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        report.save(finish(fresh), tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_the_readable_report_says_what_ran_on_stand_ins_and_how_far_apart_the_sides_are(fresh: dict) -> None:
    text = report.markdown(finish(fresh))
    assert "PASSED (3 passed)" in text
    assert "eff, tensorrt" in text and "not on NVIDIA's own software" in text
    assert "[17.log](<logs/17.log>)" in text
    assert "| top\\_1\\_accuracy | 0.9500 | 0.9500 |" in text and "| loss | 0.2000 | – |" in text
    assert "360 images at FP32" in text and "99.72%" in text and "2.5e-06" in text
    assert "360 images at FP16" in text and "98.61%" in text and "0.0015" in text
    table = report.summary_table(fresh)
    assert "(FP32, 360 images): 99.72%" in table and "(FP16, 360 images): 98.61%" in table
    real = report.markdown({**fresh, "stand_ins": []})
    assert "no stand-in was used" in real


def test_text_of_strangers_stays_in_its_cell(fresh: dict) -> None:
    hostile = "acme/x\n\n# PASSED | <script>alert(1)</script> | `x` \x1b[2J"
    report.set_step(fresh, "17", "failed", reason=hostile)
    text = report.markdown({**fresh, "hf_model_id": hostile})
    assert "\n# PASSED" not in text and "<script>" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| 17 ")]
    assert row.replace("\\|", "").count("|") == 7
    table = report.summary_table({**fresh, "hf_model_id": hostile})
    assert "\n# PASSED" not in table and "\x1b" not in table + text


def test_a_report_that_is_not_one_counts_as_none(tmp_path: Path) -> None:
    assert report.load(tmp_path) is None
    for text in ("{", "[]", "{}"):
        (tmp_path / "report.json").write_text(text, encoding="utf-8")
        assert report.load(tmp_path) is None
    (tmp_path / "report.json").write_text('{"steps": []}', encoding="utf-8")
    assert report.load(tmp_path)


def test_the_table_says_once_why_many_steps_were_skipped(fresh: dict) -> None:
    table = report.summary_table(fresh)
    assert "– tao-core tests … Native against deployed (3 steps): not reached" in table
    report.set_step(fresh, "17", "failed", reason="exit code 1")
    lines = report.summary_table(fresh).splitlines()
    assert any("✗ tao-core tests" in line and "exit code 1" in line for line in lines)
    assert any("– Train" in line and line.endswith("not reached") for line in lines)


def test_the_proof_of_the_backbone_is_said(fresh: dict) -> None:
    sentence = (
        "strategy reuse, with random weights: its outputs differ from the Hugging Face model's by at most 2.3e-06"
    )
    assert sentence in report.markdown(fresh)
    assert f"proof: {sentence} of the largest, at 32x32 and 64x96 pixels" in report.summary_table(fresh)


def test_a_proof_on_the_stand_in_says_so() -> None:
    info = {**INFO, "proof": {**INFO["proof"], "against": "tao-pytorch cannot be imported here"}}
    result = report.new_report(info, "local", [], STEPS, "full")
    assert "on the stand-in: tao-pytorch cannot be imported here" in report.markdown(result)
