"""What the answer ``strategy`` stands for, by what the proofs of a model gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tao_hf.base.errors import UserError
from tao_hf.base.text import one_line

STRATEGIES = ("reuse", "timm", "hf")  # in the order of preference


def chosen(proofs: Mapping[str, Any], strategy: str) -> str:
    """Return the strategy that an answer stands for: ``auto`` is the first that passed.

    Raises:
        UserError: It did not pass, or was not tried.
    """
    if strategy == "auto":
        passed = [name for name in STRATEGIES if proofs["tried"].get(name, {}).get("passed")]
        if passed:
            return passed[0]
        reasons = "; ".join(f"{name}: {one_line(entry['reason'])}" for name, entry in proofs["tried"].items())
        raise UserError(f"No strategy serves this model ({reasons}).")
    problem = _problem(proofs, strategy)
    if problem:
        raise UserError(problem)
    return strategy


def _problem(proofs: Mapping[str, Any], strategy: str) -> str | None:
    """Return why a strategy cannot be had, or `None`."""
    entry = proofs["tried"].get(strategy)
    if entry is None:
        return (
            f"strategy={one_line(strategy)} was not proven for this model: run copier copy with --data "
            f"strategy={one_line(strategy)}, which merges like an update."
        )
    if entry["passed"]:
        return None
    return f"strategy={strategy} does not serve this model: {one_line(entry['reason'], 400)}."


def size_problem(proofs: Mapping[str, Any], strategy: str, native: Sequence[int], size: Sequence[int]) -> str | None:
    """Return why the backbone cannot have an input size, [height, width] in pixels, or `None`."""
    if list(size) == list(native) or proofs["measured"][strategy]["other_size"]:
        return None
    return (
        f"image_size must be {native[0]} x {native[1]} pixels for this model with strategy={strategy}: at another size "
        "it does not run, or does not give the Hugging Face model's numbers."
    )
