"""The generated tests declare their markers, however pytest is started and whatever its settings say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.renderings import classifier_context, detector_context, estimator_context, render, segmenter_context

TESTS = {"tao-pytorch": "tests/cv_unit_test", "tao-deploy": "tests"}
MODELS = {
    "a_classifier": classifier_context,
    "a_detector": detector_context,
    "a_segmenter": segmenter_context,
    "an_estimator": estimator_context,
}
SETTINGS = {
    "none, as published": "",
    "strict": "[pytest]\naddopts = --strict-markers\n",
    "declared by the repository": "[pytest]\nmarkers =\n    cv_unit: theirs\n    train(epochs): theirs\n",
}


def reduce_to_markers(file: Path) -> set[str]:
    """Leave nothing of a test but its markers, and of ``conftest.py`` what declares them; return those used."""
    text = file.read_text(encoding="utf-8")
    used = set(re.findall(r"pytest\.mark\.(\w+)", text)) - {"parametrize", "usefixtures"}  # which are pytest's own
    if file.name == "conftest.py":
        names = {"MARKERS", "pytest_configure"}
        kept = [node for node in ast.parse(text).body if names & {getattr(node, "name", ""), *assigned(node)}]
        file.write_text("\n\n".join(map(ast.unparse, kept)), encoding="utf-8")
    elif used:
        marks = "".join(f"@pytest.mark.{mark}\n" for mark in sorted(used))
        file.write_text(f"import pytest\n\n{marks}def test_it():\n    pass\n", encoding="utf-8")
    return used


def assigned(node: ast.stmt) -> list[str]:
    return [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []


@pytest.mark.parametrize(
    ("repo", "settings"), [*(("tao-pytorch", name) for name in SETTINGS), ("tao-deploy", "strict")]
)
def test_every_marker_is_declared(tmp_path: Path, repo: str, settings: str) -> None:
    """By each model for itself: from the model's folder, from that of all models, and without any path."""
    for model, context in MODELS.items():
        files = render(repo, context(model_name=model), tmp_path)
        used = [reduce_to_markers(file) for file in files if f"{TESTS[repo]}/{model}" in file.as_posix()]
        assert {"cv_unit", model} < set().union(*used)
    if SETTINGS[settings]:
        (tmp_path / "pytest.ini").write_text(SETTINGS[settings])
    for where, marker in ((f"{TESTS[repo]}/a_classifier", "cv_unit"), (TESTS[repo], "a_classifier"), (".", "cv_unit")):
        command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", "-W", "error", "-q"]
        run = subprocess.run([*command, where, "-m", marker], check=False, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0 and re.search(r"\d passed", run.stdout), run.stdout + run.stderr
