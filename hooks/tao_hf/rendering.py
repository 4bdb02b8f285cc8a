"""Safe ways for text that strangers wrote to reach generated files.

Model ids, label names and configuration values come from the Hub. They enter Python only as literals (`pyrepr`),
YAML only as JSON scalars and flow lists (`yamlrepr`), and comments or docstrings only as one harmless line
(`one_line`).
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

LINE_LIMIT = 100


def _scalar(value: Any) -> str:
    """Return the Python literal of a JSON scalar; strings use double quotes like the code around them."""
    if isinstance(value, str):
        return json.dumps(value)  # valid Python too: every JSON escape is a Python escape
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no literal that may be put into generated code.")


def pyrepr(value: Any, indent: int = 0) -> str:
    """Return `value` (JSON-like: dict, list, str, number, bool, None) as Python source.

    Args:
        value: What the literal stands for. Tuples become lists.
        indent: Columns the literal's first line is indented by; further lines continue at that depth.

    Returns:
        One line when it fits into 100 columns, else one item per line with trailing commas.

    Raises:
        TypeError: For anything that is not JSON-like.

    """
    if isinstance(value, dict):
        pairs = [f"{_scalar(str(key))}: {pyrepr(item, indent + 4)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, (list, tuple)):
        pairs = [pyrepr(item, indent + 4) for item in value]
        opening, closing = "[", "]"
    else:
        return _scalar(value)
    flat = opening + ", ".join(pairs) + closing
    if len(flat) + indent <= LINE_LIMIT and "\n" not in flat:
        return flat
    pad = " " * (indent + 4)
    return opening + "\n" + "".join(f"{pad}{pair},\n" for pair in pairs) + " " * indent + closing


def yamlrepr(value: Any) -> str:
    """Return `value` as a YAML flow scalar, list or mapping (JSON is valid YAML), on one line."""
    return json.dumps(value, ensure_ascii=True)


def one_line(text: Any, limit: int = 200) -> str:
    """Return `text` as one printable ASCII-quoted line that cannot end a comment, a string or a Jinja tag.

    Control characters, line and paragraph separators become spaces; quotes, backslashes and braces are dropped.
    """
    kept = []
    for char in str(text):
        category = unicodedata.category(char)
        if category[0] in "CZ":
            kept.append(" ")
        elif char not in "\"'\\{}%`#":
            kept.append(char)
    return " ".join("".join(kept).split())[:limit]


def pascal_case(name: str) -> str:
    """Return the class name for a snake_case model name: ``vit_base_p16`` gives ``VitBaseP16``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
