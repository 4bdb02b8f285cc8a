"""The report: its keys, statuses that are never silently absent, whole files only, text that a person can trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tao_hf import atomic, report
from tao_hf.errors import UserError

INFO = {"model_name": "tiny_vit", "task_type": "image-classification", "hf_model_id": "acme/tiny-vit"}
STEPS = [("17", "tao-core tests"), ("22.train", "Train"), ("23", "Native against deployed")]


@pytest.fixture
def fresh() -> dict:
    return report.new_report(INFO, "local", ["tensorrt", "eff"], STEPS, "FP32")


def finish(result: dict) -> dict:
    report.set_step(result, "17", "passed", seconds=1.234, reason="3 tests passed", log=".tao-hf/tiny_vit/logs/17.log")
    report.set_step(result, "22.train", "passed", seconds=60, log=".tao-hf/tiny_vit/logs/22.train.log")
    report.set_step(result, "23", "passed", seconds=0.1)
    result["metrics"] = {"native": {"top_1_accuracy": 0.95, "loss": 0.2}, "deployed": {"top_1_accuracy": 0.95}}
    result["cross_check"] = {"images": 360, "agreement": 0.9972, "max_abs_diff": 2.5e-6, "precision": "FP32"}
    return result


def test_the_keys_are_those_of_the_contract(fresh: dict, tmp_path: Path) -> None:
    report.save(finish(fresh), tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert list(stored) == [
        "model_name",
        "task_type",
        "hf_model_id",
        "runtime",
        "stand_ins",
        "steps",
        "metrics",
        "cross_check",
    ]
    assert all(list(step) == ["id", "title", "status", "seconds", "reason", "log"] for step in stored["steps"])
    assert set(stored["metrics"]) == {"native", "deployed"}
    assert set(stored["cross_check"]) == {"images", "agreement", "max_abs_diff", "precision"}
    assert report.load(tmp_path) == stored


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


def test_the_table_says_once_why_many_steps_were_skipped(fresh: dict) -> None:
    table = report.summary_table(fresh)
    assert "– tao-core tests … Native against deployed (3 steps): not reached" in table
    report.set_step(fresh, "17", "failed", reason="exit code 1")
    lines = report.summary_table(fresh).splitlines()
    assert any("✗ tao-core tests" in line and "exit code 1" in line for line in lines)
    assert any("– Train" in line and line.endswith("not reached") for line in lines)
