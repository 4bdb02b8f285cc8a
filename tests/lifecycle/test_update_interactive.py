"""A person at a real terminal: copies a model, then updates it, mistypes, reads why, and types it right."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.support.copies import MODEL
from tests.support.template_versions import Template

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

DOWN, ENTER, CLEAR, BACK = "\x1b[B", "\r", "\x15", "\x7f"
OPT = "tao-pytorch/nvidia_tao_pytorch/cv/MODEL/utils/optimization.py"
ASKED = re.compile(r"Which |How |Where |What ")


def terminal(workdir: Path | None, *command: str) -> pexpect.spawn:
    """Start a command on a terminal."""
    return pexpect.spawn(
        sys.executable, list(command), cwd=workdir, encoding="utf-8", timeout=120, dimensions=(50, 160)
    )


def end(session: pexpect.spawn) -> str:
    """Wait for the end and return what was printed since the last answer; the command must have succeeded."""
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 0, session.before
    return session.before or ""


def test_copy_and_update_at_the_prompt(template: Template, tiny_vit: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "workdir"
    given = ["--data", f"hf_model_id={tiny_vit}", "--data", "runtime=local", "--data", "tao_source=embedded"]
    session = terminal(None, "-m", "copier", "copy", "--trust", "--vcs-ref", "0.1.0", *given, str(template.path),
                       str(workdir))  # fmt: skip
    for prompt, keys in (
        ("Which TAO release", ENTER),
        ("Which branch of the repositories", ENTER),
        ("What should the model be called", CLEAR + MODEL + ENTER),
        ("Input image size", ENTER),
        ("How many classes", ENTER),
        ("How should the backbone be made", ENTER),
        ("Which local branch", ENTER),
        ("What should be tested right away", DOWN + DOWN + ENTER),
    ):
        session.expect_exact(prompt)
        session.send(keys)
    end(session)

    template.release(lambda new: new.append(OPT, "# from the template\n"))
    session = terminal(workdir, "-m", "copier", "update", "--trust")
    session.expect_exact("Input image size")
    assert not ASKED.search(session.before or ""), "the first question of an update"
    session.send(BACK + "3" + ENTER)
    session.expect_exact("multiple of the model's patch size")
    session.send(CLEAR + "48" + ENTER)
    session.expect_exact("How many classes")
    session.send(BACK + ENTER)
    session.expect_exact("at least 2")
    session.send(CLEAR + "12" + ENTER)
    session.expect_exact("How should the backbone be made")
    session.send(ENTER)
    rest = end(session)
    assert not [line for line in rest.splitlines() if "Which" in line], "nothing else is asked"
    assert f"{MODEL} is now at template 0.2.0" in rest
    answers = yaml.safe_load((workdir / f".tao-hf/{MODEL}/answers.yml").read_bytes())
    assert (answers["image_size"], answers["num_labels"]) == (48, 12)
    assert (workdir / OPT.replace("MODEL", MODEL)).read_text(encoding="utf-8").endswith("# from the template\n")

    template.release(lambda new: new.append(OPT, "# and once more\n"))
    session = terminal(workdir, str(workdir / "tao-hf"), "update")
    told = end(session)  # asks nothing
    assert f"{MODEL} is now at template 0.3.0" in told and "Traceback" not in told
    assert (workdir / OPT.replace("MODEL", MODEL)).read_text(encoding="utf-8").endswith("# and once more\n")
