"""Adds test markers to an ini file that pytest reads, and takes them out again, touching no other byte.

What is added stands between two comment lines, so that taking it out again is exact.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence

from tao_hf.pylists import NotRecognisedError

BEGIN = "# tao-hf-template: begin (markers of the models it added)"
END = "# tao-hf-template: end"
_CREATED = "# Made by tao-hf-template; it deletes this file again with its last model."
_OF_MODEL = ": tests of the model "


def skeleton(testpaths: Sequence[str]) -> bytes:
    """Return the ini file that is made where pytest has none: the given test folders, no markers yet."""
    return f"{_CREATED}\n[pytest]\ntestpaths = {' '.join(testpaths)}\n".encode()


def wanted(model: str, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the marker lines a model's tests need, by marker name: the `shared` ones and its own."""
    lines = {name: f"{name}: {description}" for name, description in shared.items()}
    return {**lines, model: f"{model}{_OF_MODEL}{model}"}


def markers(content: bytes, section: str) -> list[str]:
    """Return the names of the markers declared in `section` (``pytest``, or ``tool:pytest`` in a setup.cfg).

    Raises:
        NotRecognisedError: The file is not an ini file.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(content.decode("utf-8-sig"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise NotRecognisedError(f"it is not a readable ini file ({str(error).splitlines()[0]})") from error
    value = parser.get(section, "markers", fallback="") or ""
    return [re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in value.splitlines() if line.strip()]


def added(content: bytes, section: str, lines: Mapping[str, str]) -> bytes:
    """Return `content` with those of the marker `lines` (by marker name, see `wanted`) that it lacks.

    Raises:
        NotRecognisedError: The file is not an ini file, or its section cannot be extended safely.
    """
    have = markers(content, section)
    missing = [line for name, line in lines.items() if name not in have]
    if not missing:
        return content
    text = content.decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    rows = text.splitlines(keepends=True)
    block = _block(rows)
    if block:
        place, new = block[1], [f"    {line}" for line in missing]
    else:
        place, head = _place(rows, section)
        indent = "    " if head else _indent(rows[place - 1])
        new = [BEGIN, *head, *(f"{indent}{line}" for line in missing), END]
    if place == len(rows) and rows and not rows[-1].endswith("\n"):
        addition = "".join(newline + row for row in new)
    else:
        addition = "".join(row + newline for row in new)
    result = "".join([*rows[:place], addition, *rows[place:]]).encode("utf-8")
    if sorted(markers(result, section)) != sorted([*have, *(name for name in lines if name not in have)]):
        raise NotRecognisedError(f"its [{section}] section cannot be extended safely")
    return result


def removed(content: bytes, section: str, model: str) -> bytes | None:
    """Return `content` without what `added` put there for `model`; `None` when the whole file was ours.

    Markers that the models share go with the last model.

    Raises:
        NotRecognisedError: The file is not an ini file.
    """
    markers(content, section)
    rows = content.decode("utf-8").splitlines(keepends=True)
    block = _block(rows)
    if block is None:
        return content
    begin, end = block
    own = [at for at in range(begin, end) if rows[at].strip() == f"{model}{_OF_MODEL}{model}"]
    if not own:
        return content
    others = any(_OF_MODEL in rows[at] for at in range(begin, end) if at not in own)
    drop = set(own) if others else set(range(begin, end + 1))
    kept = [row for at, row in enumerate(rows) if at not in drop]
    if len(rows) - 1 in drop and not rows[-1].endswith("\n") and kept:
        kept[-1] = kept[-1].rstrip("\r\n")
    text = "".join(kept)
    is_ours = re.fullmatch(re.escape(_CREATED) + r"\n\[pytest\]\ntestpaths = [^\n]*\n", text)
    return None if is_ours else text.encode("utf-8")


def _block(rows: list[str]) -> tuple[int, int] | None:
    """Return the row numbers of our begin and end lines."""
    bare = [row.strip() for row in rows]
    if BEGIN not in bare:
        return None
    begin = bare.index(BEGIN)
    if END not in bare[begin:]:
        raise NotRecognisedError(f"the line {END!r} is missing")
    return begin, bare.index(END, begin)


def _place(rows: list[str], section: str) -> tuple[int, list[str]]:
    """Return the row to insert before, and the rows that must come first there (section, key)."""
    heads = [at for at, row in enumerate(rows) if row.strip() == f"[{section}]"]
    if not heads:
        return len(rows), [f"[{section}]", "markers ="]
    after = (at for at in range(heads[0] + 1, len(rows)) if rows[at].startswith("["))
    stop = next(after, len(rows))
    for key in range(heads[0] + 1, stop):
        if re.match(r"markers\s*[=:]", rows[key]):
            last = key
            for at in range(key + 1, stop):
                if rows[at].strip() and rows[at][0] not in " \t#;":
                    break
                if rows[at].strip() and rows[at][0] in " \t":
                    last = at
            return last + 1, []
    return 1 + max(at for at in range(heads[0], stop) if rows[at].strip()), ["markers ="]


def _indent(row: str) -> str:
    """Return the indentation of a marker's row; four columns for the row that holds the key."""
    return row[: len(row) - len(row.lstrip(" \t"))] or "    "
