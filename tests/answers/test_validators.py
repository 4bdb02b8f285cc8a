"""What is wrong with the value of an answer, in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from tao_hf.answers import validators


@pytest.mark.parametrize("num_labels", [2, 7, validators.MAX_CLASSES])
def test_a_number_of_classes(num_labels: int) -> None:
    assert validators.num_labels_problem(num_labels, {"num_labels": 1000}) is None


@pytest.mark.parametrize("num_labels", [None, True, 1, 0, -3, "7", validators.MAX_CLASSES + 1])
def test_what_is_no_number_of_classes(num_labels: Any) -> None:
    problem = validators.num_labels_problem(num_labels, {"num_labels": 1000})
    assert problem.startswith("num_labels must be a whole number of classes, at least 2, not ")


def test_a_task_without_classes_has_no_number_of_them() -> None:
    assert validators.num_labels_problem(0, {"num_labels": 0}) is None
    assert "have no classes" in validators.num_labels_problem(7, {"num_labels": 0})
