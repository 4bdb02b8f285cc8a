"""Which parameters a training reaches: with several processes, PyTorch must know before whether some are left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def leaves_out(model: Any, results: Iterable[Any]) -> bool:
    """Tell whether a trainable parameter has no part in one of the results, and would get no gradient from it.

    Args:
        model: the module.
        results: one scalar or tensor for each way in which the module is trained, computed with gradients.
    """
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    return any(trained - _reached(result) for result in results)


def _reached(result: Any) -> set[int]:
    """Return the ids of the leaves that a tensor was computed from."""
    found, seen, waiting = set(), set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting.extend(following for following, _ in node.next_functions)
    return found
