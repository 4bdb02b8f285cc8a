"""What answers must not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CODE_KEYS = {"network", "rules", "spellings", "imports", "methods", "setup", "positions", "$name", "$call", "$tuple"}
CODE_WORDS = ("{tensor}", "{i}", "def ", "import ", "self.")


def nodes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values inside answers with their paths."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, f"{path}.{key}")


def code_in(answers: dict[str, Any]) -> list[str]:
    """Return where the proofs of a model's answers hold code."""
    found = []
    for path, value in nodes(answers["proofs"]):
        if isinstance(value, dict) and CODE_KEYS & value.keys():
            found.append(f"{path}: {sorted(CODE_KEYS & value.keys())}")
        if isinstance(value, str) and any(word in value for word in CODE_WORDS) and ".reason" not in path:
            found.append(f"{path}: {value}")
    return found
