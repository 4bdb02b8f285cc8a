"""Text of strangers, made fit to be shown."""

from __future__ import annotations

import unicodedata
from typing import Any


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
