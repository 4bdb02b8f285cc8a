"""A person at a real terminal: the findings stand above the questions that they fill in."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.support.paths import ROOT

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

UP, DOWN, ENTER = "\x1b[A", "\x1b[B", "\r"


def test_a_model_for_several_tasks(tiny_mask2former: Path, tmp_path: Path) -> None:
    """The question offers what the model can do; after another choice the findings are those of that task."""
    workdir = tmp_path / "workdir"
    data = [f"hf_model_id={tiny_mask2former}", "runtime=local", "tao_source=embedded", "run_tests=none"]
    options = [part for answer in data for part in ("--data", answer)]
    command = ["-m", "copier", "copy", "--trust", "--vcs-ref", "HEAD", *options, str(ROOT), str(workdir)]
    terminal = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=120, dimensions=(50, 110))
    terminal.expect_exact("Which task?")
    assert "instance-segmentation; it can be for panoptic-segmentation" in terminal.before
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Which TAO release")
    assert "panoptic-segmentation; it can be for instance-segmentation" in terminal.before
    terminal.send(ENTER)
    for prompt in ("Which branch of", "What should the model be called", "Input image size", "How many classes",
                   "How should the backbone", "Which local branch"):
        terminal.expect_exact(prompt)
        terminal.send(ENTER)
    terminal.expect_exact("consistency checks passed")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    (answers,) = (workdir / ".tao-hf").glob("*/answers.yml")
    recorded = yaml.safe_load(answers.read_text(encoding="utf-8"))
    assert recorded["task_type"] == recorded["findings"]["task_type"] == "panoptic-segmentation"
    assert "inspection" not in recorded


def test_answering_the_prompts(tiny_vit: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "workdir"
    command = ["-m", "copier", "copy", "--trust", "--vcs-ref", "HEAD", str(ROOT), str(workdir)]
    terminal = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=120, dimensions=(50, 110))
    seen = []

    def answer(prompt: str, keys: str) -> None:
        terminal.expect_exact(prompt)
        seen.append(terminal.before or "")
        terminal.send(keys)

    answer("Which Hugging Face model?", "\x15" + str(tiny_vit) + ENTER)
    answer("Where should Python code run?", DOWN + DOWN + ENTER)
    answer("Where do the TAO repositories come from", DOWN + DOWN + ENTER)
    assert "image-classification" in seen[-1] and "32 x 32 pixels" in seen[-1], "the findings come before the questions"
    answer("Which TAO release", ENTER)
    answer("Which branch of the repositories", ENTER)
    answer("What should the model be called", "\x15class" + ENTER)
    terminal.expect_exact("keyword")  # said at the prompt, which stays open
    terminal.send("\x15typed_vit" + ENTER)
    answer("Input image size", ENTER)
    answer("How many classes", "\x15" + "3" + ENTER)
    answer("How should the backbone be made", ENTER)
    answer("Which local branch", ENTER)
    answer("What should be tested right away", DOWN + DOWN + ENTER)
    terminal.expect_exact("consistency checks passed")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    answers = yaml.safe_load((workdir / ".tao-hf/typed_vit/answers.yml").read_text(encoding="utf-8"))
    assert (answers["num_labels"], answers["runtime"], answers["run_tests"]) == (3, "local", "none")
    assert answers["branch_name"] == "feature/add-typed-vit"
