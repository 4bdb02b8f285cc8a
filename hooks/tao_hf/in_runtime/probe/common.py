"""What every part of the probe shares: the error that goes out as JSON, and text made safe to print."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

KINDS = (
    "unknown_id",
    "gated",
    "no_network",
    "rejected_task",
    "remote_code",
    "bad_config",
    "bad_checkpoint",
    "bad_image_size",
    "bad_labels",
)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_MAX_JSON_BYTES = 64 * 2**20


class ProbeError(Exception):
    """A finding that ends the inspection.

    Attributes:
        kind: one of KINDS.
        message: one sentence for the person, already safe to print.
    """

    def __init__(self, kind: str, message: str) -> None:
        """Keep the kind and the cleaned sentence."""
        if kind not in KINDS:
            raise ValueError(kind)
        super().__init__(message)
        self.kind = kind
        self.message = clean(message, 600)


def clean(text: object, limit: int = 200) -> str:
    """Return `text` on one line without colors, control, bidi or surrogate characters, at most `limit` long."""
    kept = []
    for char in _COLOR.sub("", str(text)):
        if char.isspace():
            kept.append(" ")
        elif unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
            kept.append(char)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def first_line(error: BaseException, limit: int = 200) -> str:
    """Return the first non-empty line of an exception's text, or its type when it has none."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return clean(lines[0] if lines else type(error).__name__, limit)


def parse_json(data: bytes, name: str, kind: str = "bad_config") -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: the file's content.
        name: how the error calls the file.
        kind: the error's kind.

    Raises:
        ProbeError: it is too large, not UTF-8, not JSON, holds NaN or Infinity, or is not an object.
    """
    if len(data) > _MAX_JSON_BYTES:
        raise ProbeError(kind, f"{name} is {len(data) >> 20} MiB, which no model configuration is.")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProbeError(
            kind, f"{name} is not valid JSON ({first_line(error)}); repair or re-save the model."
        ) from error
    if not isinstance(value, dict):
        raise ProbeError(kind, f"{name} holds no JSON object; repair or re-save the model.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def class_lists(config: Any) -> list[str]:
    """Return the attributes of a transformers configuration that hold one entry for each class."""
    count = config.num_labels
    return sorted(
        name
        for name, value in vars(config).items()
        if name.startswith("class_") and isinstance(value, (list, tuple)) and len(value) == count
    )


def set_classes(config: Any, count: int) -> None:
    """Change the number of classes of a transformers configuration, and what it lists for each of them."""
    for name in class_lists(config):
        entries = list(getattr(config, name))
        setattr(config, name, (entries + entries[-1:] * count)[:count])
    config.num_labels = count
