"""The cross-check of native and deployed predictions: equal files pass, every kind of difference fails."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import HOOKS

CLASSES = ["cat", "dog"]
Rows = list[list[object]]


def rows(count: int = 200, shift: float = 0.0) -> Rows:
    """Return rows of `count` images, whose logits are 4 and -4 but for `shift`."""
    score = 1 / (1 + math.exp(-2 * (4.0 + shift)))
    return [[f"/data/{i:03d}.png", f"{score:.9g}", f"{1 - score:.9g}", "cat", score] for i in range(count)]


def write(path: Path, body: Rows, classes: list[str] | None = None) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["img_name", *(classes or CLASSES), "pred_label", "pred_score"], *body])
    return path


def compare(
    tmp_path: Path, native: Rows, deployed: Rows, precision: str = "FP32", **kwargs: list[str]
) -> tuple[int, dict]:
    """Run the script and return its exit status and its JSON."""
    for name, body, options in (("native", native, {}), ("deployed", deployed, kwargs)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "result.csv", body, **options)
    return run(tmp_path, precision)


def run(tmp_path: Path, precision: str = "FP32") -> tuple[int, dict]:
    """Run the script on the folders native and deployed and return its exit status and its JSON."""
    out = tmp_path / "out.json"
    folders = ["image-classification", str(tmp_path / "native"), str(tmp_path / "deployed")]
    program = [sys.executable, "-S", "-m", "tao_hf.in_runtime.check.crosscheck"]  # -S: nothing but Python itself
    argv = [*program, *folders, "--precision", precision, "--json", str(out)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(HOOKS)})
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(out.read_text(encoding="utf-8"))


def test_equal_predictions_pass_in_any_order(tmp_path: Path) -> None:
    code, result = compare(tmp_path, rows(), rows()[::-1])
    assert code == 0
    assert (result["images"], result["agreement"], result["max_abs_diff"], result["precision"]) == (
        200,
        1.0,
        0.0,
        "FP32",
    )


@pytest.mark.parametrize(
    ("shift", "precision", "code"),
    [
        (0.003, "FP32", 0),  # 1e-3 x scale 4
        (0.005, "FP32", 1),
        (0.1, "FP16", 0),  # 3e-2 x scale 4
        (0.13, "FP16", 1),
    ],
)
def test_the_largest_difference_is_measured_against_the_scale(
    tmp_path: Path, shift: float, precision: str, code: int
) -> None:
    found, result = compare(tmp_path, rows(), rows(shift=shift), precision)
    assert found == code
    assert result["max_abs_diff"] == pytest.approx(shift, rel=1e-3)


@pytest.mark.parametrize(
    ("flipped", "precision", "code"), [(1, "FP32", 0), (2, "FP32", 1), (4, "FP16", 0), (5, "FP16", 1)]
)
def test_labels_must_agree(tmp_path: Path, flipped: int, precision: str, code: int) -> None:
    other = rows()
    for row in other[:flipped]:
        row[3] = "dog"
    found, result = compare(tmp_path, rows(), other, precision)
    assert found == code
    assert result["agreement"] == pytest.approx(1 - flipped / 200)


@pytest.mark.parametrize(("flipped", "code"), [(1, 0), (2, 1)])
def test_one_near_tie_among_few_images_is_none(tmp_path: Path, flipped: int, code: int) -> None:
    """With 16 images a single flip is over the limit of FP16; a second one is no accident."""
    deployed = rows(16)
    for row in deployed[:flipped]:
        row[3] = "dog"
    assert compare(tmp_path, rows(16), deployed, "FP16")[0] == code


@pytest.mark.parametrize(
    ("body", "names", "said"),
    [
        (rows()[1:], None, "same images: 1 only native, 0 only deployed"),
        ([*rows(), ["/data/extra.png", 0.3, 0.7, "dog", 0.7]], None, "same images: 0 only native, 1 only deployed"),
        ([*rows(), rows()[0]], None, "a second time"),
        ([], None, "same images"),
        ([["/data/000.png", "nan", 1, "cat", 0.5]], None, "not finite"),
        ([["/data/000.png", "high", 1, "cat", 0.5]], None, "not a number"),
        ([["/data/000.png", 1, "cat", 0.5]], None, "columns"),
        ([["/data/000.png", 4.0, -4.0, "cat", 0.99]], None, "not the probabilities"),  # logits
        ([["/data/000.png", 1.25, -0.25, "cat", 0.99]], None, "not the probabilities"),
        (rows(), ["dog", "cat"], "class columns"),
    ],
)
def test_files_that_cannot_be_compared_fail_with_the_reason(
    tmp_path: Path, body: Rows, names: list[str] | None, said: str
) -> None:
    code, result = compare(tmp_path, rows(), body, classes=names or CLASSES)
    assert code == 1
    assert said in result["problems"][0]
    assert result["images"] is None


def test_differences_of_improbable_classes_are_seen(tmp_path: Path) -> None:
    """Two models whose every probability agrees to 1e-6, and that are as far apart as no rounding is."""
    native, deployed = ([["/data/000.png", 1 - value, value, "cat", 1 - value]] for value in (1e-7, 1e-6))
    code, result = compare(tmp_path, native, deployed)
    assert code == 1
    assert result["max_abs_diff"] == pytest.approx(math.log(10) / 2, rel=1e-3)


def test_a_probability_that_has_become_0_is_compared(tmp_path: Path) -> None:
    certain = [["/data/000.png", 1, 0, "cat", 1]]
    assert compare(tmp_path, certain, certain)[0] == 0


def test_a_missing_file_fails_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    write(tmp_path / "native" / "result.csv", rows())
    code, result = run(tmp_path)
    assert code == 1
    assert "cannot read result.csv" in result["problems"][0]
