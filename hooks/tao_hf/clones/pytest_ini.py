"""Adds test markers to an ini file that pytest reads, and takes them out again, touching no other byte.

What is added stands between two comment lines. The second one holds a checksum of every marker line we wrote: a line
that was changed since, or put between the two by somebody, is theirs and stays.
"""

from __future__ import annotations

import configparser
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tao_hf.clones.python_lists import NotRecognisedError

BEGIN = "# tao-hf-template: begin"
END = "# tao-hf-template: end"
_ABOUT = " (markers of the models it added)"
_CREATED = "# Made by tao-hf-template; it deletes this file again with its last model."
_OF_MODEL = ": tests of the model "
_INDENT = "    "


class _Row(NamedTuple):
    """A row of an ini file.

    Attributes:
        text: The row, with its line end.
        kind: ``begin`` and ``end`` of a block of ours, in it ``head`` (section, key), ``ours`` (a marker that is as
            we wrote it) and ``other``; ``outside`` of a block.
        name: The marker that the row declares, when it is in a block.
    """

    text: str
    kind: Literal["outside", "begin", "head", "ours", "other", "end"]
    name: str = ""


def skeleton(testpaths: Sequence[str]) -> bytes:
    """Return the ini file that is made where pytest has none: the given test folders, no markers yet."""
    return f"{_CREATED}\n[pytest]\ntestpaths = {' '.join(testpaths)}\n".encode()


def wanted(model: str, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the marker lines a model's tests need, by marker name: the `shared` ones and its own."""
    return {**_lines(shared), model: f"{model}{_OF_MODEL}{model}"}


def markers(content: bytes, section: str) -> list[str]:
    """Return the names of the markers declared in `section` (``pytest``, or ``tool:pytest`` in a setup.cfg).

    Raises:
        NotRecognisedError: The file is not an ini file.
    """
    value = _settings(content).get(section, {}).get("markers") or ""
    return [_name(line) for line in value.splitlines() if line.strip()]


def held(content: bytes, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the marker lines in `content` that we wrote and that nobody has changed, by marker name.

    Raises:
        NotRecognisedError: A block of ours has no end.
    """
    if BEGIN.encode() not in content:
        return {}
    return {row.name: row.text.strip() for row in _rows(content, shared) if row.kind == "ours"}


def bare(content: bytes, shared: Mapping[str, str]) -> bytes | None:
    """Return `content` without anything of ours, for whichever models; `None` when the whole file was ours.

    Raises:
        NotRecognisedError: A block of ours has no end.
    """
    rest = _without_blocks(_rows(content, shared)) if BEGIN.encode() in content else content
    pattern = re.escape(_CREATED.encode()) + rb"\r?\n\[pytest\]\r?\ntestpaths = [^\r\n]*\r?\n"
    return None if re.fullmatch(pattern, rest) else rest


def added(content: bytes, section: str, lines: Mapping[str, str], shared: Mapping[str, str]) -> bytes:
    """Return `content` with each of the marker `lines` (by marker name, see `wanted`) in it exactly once.

    A marker that somebody declares stays theirs. A line of ours takes its new wording, unless it was changed.

    Raises:
        NotRecognisedError: The file is not an ini file, or its section cannot be extended safely.
    """
    rows = _rows(content, shared)
    rest = _without_blocks(rows)
    theirs = markers(rest, section)
    all_lines = {**{row.name: row.text.strip() for row in rows if row.kind == "ours"}, **lines}
    ours = {name: line for name, line in all_lines.items() if name not in theirs}
    if not ours:
        return rest
    for result in (_rewritten(rows, ours), _with_block(rest, section, ours)):
        if _is_sound(result, section, [*theirs, *ours]):
            return result
    raise NotRecognisedError(f"its [{section}] section cannot be extended safely")


def removed(content: bytes, model: str, shared: Mapping[str, str]) -> bytes | None:
    """Return `content` without what `added` put there for `model`; `None` when the whole file was ours.

    Markers that the models share go with the last model.

    Raises:
        NotRecognisedError: A block of ours has no end.
    """
    rows = _rows(content, shared)
    if all(row.kind == "outside" for row in rows):
        return content
    kept = [row for row in rows if row.name != model]
    if not any(_is_of_model(row.text.strip()) for row in kept if row.kind in ("ours", "other")):
        return bare(_joined(kept, rows), shared)
    return content if kept == rows else _joined(kept, rows)


def _lines(shared: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{name}: {description}" for name, description in shared.items()}


def _name(line: str) -> str:
    return re.split(r"[:(]", line, maxsplit=1)[0].strip()


def _is_of_model(line: str) -> bool:
    name, _, model = line.partition(_OF_MODEL)
    return name == model


def _checksum(line: str) -> str:
    return f"{zlib.crc32(line.encode('utf-8')) & 0xFFFF:04x}"


def _rows(content: bytes, shared: Mapping[str, str]) -> list[_Row]:
    """Return the rows of `content` with what each of them is."""
    rows = [_Row(text, "outside") for text in _decoded(content).splitlines(keepends=True)]
    begin = None
    for at, row in enumerate(rows):
        if row.text.strip().startswith(BEGIN):
            if begin is not None:
                break
            begin = at
        elif row.text.strip().startswith(END) and begin is not None:
            rows[begin : at + 1] = _block([row.text for row in rows[begin : at + 1]], shared)
            begin = None
    if begin is not None:
        raise NotRecognisedError(f"the line {END!r} is missing")
    return rows


def _block(texts: list[str], shared: Mapping[str, str]) -> list[_Row]:
    """Return the rows of one block. Before it had checksums, a block held `shared` markers and those of models."""
    checksums = re.findall(r"\b[0-9a-f]{4}\b", texts[-1].partition(END)[2])
    known = set(_lines(shared).values())
    rows = [_Row(texts[0], "begin")]
    for text in texts[1:-1]:
        line = text.strip()
        if re.fullmatch(r"\[.*\]|markers\s*[=:]", line) and len(rows) <= 2 and rows[-1].kind != "ours":
            rows.append(_Row(text, "head"))
        elif _checksum(line) in checksums if checksums else line in known or _is_of_model(line):
            rows.append(_Row(text, "ours", _name(line)))
        else:
            rows.append(_Row(text, "other", "" if line.startswith(("#", ";")) else _name(line)))
    return [*rows, _Row(texts[-1], "end")]


def _without_blocks(rows: list[_Row]) -> bytes:
    """Return the file with nothing of ours, but the head of a block where somebody's rows need it."""
    kept: list[_Row] = []
    follower = ""
    needs_key = needs_section = False
    for row in reversed(rows):
        if row.kind == "end":
            needs_key = follower[:1] in (" ", "\t")
            needs_section = follower[:1] not in ("", "[")
        elif row.kind == "other" and row.name:
            needs_key = needs_section = True
        is_key = not row.text.lstrip().startswith("[")
        if row.kind in ("outside", "other") or (row.kind == "head" and (needs_key if is_key else needs_section)):
            kept.append(row)
        if row.kind == "outside" and row.text.strip() and row.text.strip()[0] not in "#;":
            follower = row.text
    return _joined(kept[::-1], rows)


def _joined(kept: list[_Row], rows: list[_Row]) -> bytes:
    """Return the `kept` ones of a file's `rows` as the bytes of a file, the ends of its blocks brought up to date."""
    texts: list[str] = []
    lines: list[str] = []
    for row in kept:
        text = row.text
        if row.kind == "begin":
            lines = []
        elif row.kind == "ours":
            lines.append(text.strip())
        elif row.kind == "end" and lines:
            text = _end(lines) + text[len(text.rstrip("\r\n")) :]
        texts.append(text)
    if texts and kept[-1] is not rows[-1] and not rows[-1].text.endswith("\n"):
        texts[-1] = texts[-1].rstrip("\r\n")
    return "".join(texts).encode("utf-8")


def _end(lines: Sequence[str]) -> str:
    return f"{END} ({' '.join(map(_checksum, lines))})"


def _rewritten(rows: list[_Row], ours: Mapping[str, str]) -> bytes:
    """Return the file with `ours` in the block that it has."""
    there = {row.name for row in rows if row.kind == "ours"}
    sample = next((row.text for row in rows if row.kind in ("ours", "other") and row.name), _INDENT)
    newline = _newline([row.text for row in rows])
    result: list[_Row] = []
    for row in rows:
        if row.kind == "ours":
            if row.name in ours:
                result.append(row._replace(text=row.text.replace(row.text.strip(), ours[row.name])))
            continue
        if row.kind == "end":
            new = [line for name, line in ours.items() if name not in there]
            result += [_Row(_indent(sample) + line + newline, "ours", _name(line)) for line in new]
        result.append(row)
    if result == rows and all("(" in row.text for row in rows if row.kind == "end"):
        return "".join(row.text for row in rows).encode("utf-8")
    return _joined(result, rows)


def _with_block(content: bytes, section: str, ours: Mapping[str, str]) -> bytes:
    """Return `content`, which has no block of ours, with one."""
    rows = _decoded(content).splitlines(keepends=True)
    newline = _newline(rows)
    place, head = _place(rows, section)
    indent = _INDENT if head else _indent(rows[place - 1])
    new = [BEGIN + _ABOUT, *head, *(indent + line for line in ours.values()), _end(list(ours.values()))]
    if place == len(rows) and rows and not rows[-1].endswith("\n"):
        addition = "".join(newline + row for row in new)
    else:
        addition = "".join(row + newline for row in new)
    return "".join([*rows[:place], addition, *rows[place:]]).encode("utf-8")


def _is_sound(result: bytes, section: str, names: list[str]) -> bool:
    """Tell whether pytest, which takes no section and no key twice, reads just the markers `names`."""
    try:
        _settings(result, strict=True)
    except NotRecognisedError:
        return False
    return sorted(markers(result, section)) == sorted(names)


def _settings(content: bytes, strict: bool = False) -> dict[str, dict[str, str | None]]:
    """Return the settings of an ini file by section; `strict`: none may be there twice.

    Raises:
        NotRecognisedError: It is no ini file.
    """
    parser = configparser.RawConfigParser(strict=strict, allow_no_value=True, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(_decoded(content).removeprefix("\ufeff"))
    except configparser.Error as error:
        raise NotRecognisedError(f"it is not a readable ini file ({str(error).splitlines()[0]})") from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotRecognisedError(f"it is not a readable ini file ({error})") from error


def _newline(rows: list[str]) -> str:
    return "\r\n" if any(row.endswith("\r\n") for row in rows) else "\n"


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
    return row[: len(row) - len(row.lstrip(" \t"))] or _INDENT
