"""Adds strings to, and takes them from, list literals in Python source, leaving every other byte as it is.

Python's own ``ast`` and ``tokenize`` find the place and the edit is made in the text: a syntax-tree library
such as libcst is not among what Copier depends on, and ``./tao-hf`` has only the standard library.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

Locator = Callable[[ast.Module], "ast.List | ast.Tuple"]


class NotRecognisedError(Exception):
    """The source has no list of the expected form; the text says what was looked for."""


class Source:
    """Python source text with its syntax tree, and a map from the tree's positions to text offsets.

    Args:
        content: The file as it is on disk; its encoding (cookie, byte-order mark) and line ends are kept.

    Raises:
        NotRecognisedError: It is not valid Python, or cannot be written back byte for byte.
    """

    def __init__(self, content: bytes) -> None:
        """Decode and parse."""
        try:
            self.encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
            self.text = content.decode(self.encoding)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an invalid escape in the file is not ours to complain about
                self.tree = ast.parse(self.text)
        except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError) as error:
            raise NotRecognisedError(f"it is not valid Python ({str(error).splitlines()[0]})") from error
        if self.encode() != content:
            raise NotRecognisedError(f"its encoding {self.encoding} does not survive being read and written")
        self.starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]

    def encode(self) -> bytes:
        """Return the text as the bytes of a file."""
        return self.text.encode(self.encoding)

    def offset(self, line: int, column: int) -> int:
        """Return the text offset of a position of the tree (1-based line, column in UTF-8 bytes)."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return start + len(self.text[start:end].encode("utf-8")[:column].decode("utf-8"))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the text offsets at which `node` begins and ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def line_start(self, offset: int) -> int:
        """Return the offset of the first character of the line that holds `offset`."""
        return self.starts[bisect_right(self.starts, offset) - 1]

    def line_end(self, offset: int) -> int:
        """Return the offset just after the line (its line end included) that holds `offset`."""
        index = bisect_right(self.starts, offset)
        return self.starts[index] if index < len(self.starts) else len(self.text)

    def indent(self, offset: int) -> str:
        """Return the white space that the line holding `offset` begins with."""
        match = re.compile(r"[ \t\f]*").match(self.text, self.line_start(offset))
        return match.group() if match else ""

    def newline(self) -> str:
        """Return the line end the file uses: that of its first line, a line feed when it has none."""
        match = re.search(r"\r\n|\r|\n", self.text)
        return match.group() if match else "\n"


class _Gap(NamedTuple):
    """What stands behind an element: the comma's offset, and whether a comment follows that."""

    comma: int | None
    comment: bool


def strings(node: ast.List | ast.Tuple) -> list[str]:
    """Return the string elements of a list or tuple literal, in order."""
    return [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def assignments(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the top-level statements that give `name` a value or change it."""
    found: list[ast.stmt] = []
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            found.append(node)
    return found


def assigned(tree: ast.Module, name: str) -> ast.List | ast.Tuple:
    """Return the list that `name` is at the top level of a file.

    Raises:
        NotRecognisedError: There is none, or it is put together from several parts.
    """
    statements = assignments(tree, name)
    if len(statements) == 1 and isinstance(statements[0], (ast.Assign, ast.AnnAssign)):
        value = statements[0].value
        if isinstance(value, (ast.List, ast.Tuple)):
            return value
    raise NotRecognisedError(f"{name} is not one plain list")


def constants(node: ast.AST) -> list[str]:
    """Return the strings in a piece of source."""
    return [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def added(content: bytes, locate: Locator, item: str) -> bytes:
    """Return `content` with the string `item` as last element of the list that `locate` finds.

    The new element takes the quotes, the indentation, the line end and the trailing-comma habit of its
    neighbours.

    Raises:
        NotRecognisedError: The source, or the list in it, has no form this can edit safely.
    """
    source = Source(content)
    node = locate(source.tree)
    start, end = _brackets(source, node)
    edits = _append(source, node, item, end) if node.elts else _first(source, node, item, start, end)
    return _checked(source, edits, locate, [*map(ast.dump, node.elts), ast.dump(ast.Constant(item))])


def removed(content: bytes, locate: Locator, item: str) -> bytes:
    """Return `content` without the string `item` in the list that `locate` finds; the inverse of `added`.

    Of several that are alike the first goes.

    Raises:
        NotRecognisedError: As for `added`.
    """
    source = Source(content)
    node = locate(source.tree)
    index = _index(node, item)
    if index is None:
        return content
    rest = [ast.dump(other) for place, other in enumerate(node.elts) if place != index]
    return _checked(source, _take(source, node, index), locate, rest)


def replaced(content: bytes, locate: Locator, item: str, new: str) -> bytes:
    """Return `content` with the string `new` in the place of the first `item`, in the same quotes.

    Raises:
        NotRecognisedError: As for `added`.
    """
    source = Source(content)
    node = locate(source.tree)
    index = _index(node, item)
    if index is None:
        return content
    start, end = source.span(node.elts[index])
    expected = [ast.dump(ast.Constant(new) if place == index else other) for place, other in enumerate(node.elts)]
    return _checked(source, [(start, end, _quoted(new, source.text[start:end]))], locate, expected)


def _index(node: ast.List | ast.Tuple, item: str) -> int | None:
    """Return where the string `item` first stands in a list."""
    for index, element in enumerate(node.elts):
        if isinstance(element, ast.Constant) and isinstance(element.value, str) and element.value == item:
            return index
    return None


def _brackets(source: Source, node: ast.List | ast.Tuple) -> tuple[int, int]:
    start, end = source.span(node)
    if source.text[start] + source.text[end - 1] not in ("[]", "()"):
        raise NotRecognisedError("the list is not written in brackets")
    return start, end


def _gap(source: Source, start: int, end: int) -> _Gap:
    """Look at the text between two elements (white space, commas, comments, parentheses, line joins)."""
    comma, comment, position = None, False, start
    while position < end:
        char = source.text[position]
        if char == "#":
            comment, position = comma is not None, source.line_end(position)
            continue
        if char == "," and comma is None:
            comma = position
        elif char not in " \t\f\r\n\\)(":
            raise NotRecognisedError(f"there is {char!r} between the elements of the list")
        position += 1
    return _Gap(comma, comment)


def _quoted(item: str, like: str) -> str:
    """Return `item` as a literal, in the quotes that the literal `like` uses."""
    match = re.match(r"\w*?(['\"])", like)
    quote = match.group(1) if match else "'"
    return quote + item.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def _append(source: Source, node: ast.List | ast.Tuple, item: str, end: int) -> list[tuple[int, int, str]]:
    last_start, last_end = source.span(node.elts[-1])
    text = source.text
    literal = _quoted(item, text[last_start:last_end])
    gap = _gap(source, last_end, end - 1)
    tail = gap.comma + 1 if gap.comma is not None else last_end
    # An element in parentheses of its own ends at its closing parenthesis; the comma belongs behind that.
    closing = max(_code_end(source, last_end, end - 1), tail)
    if source.line_end(closing) <= end - 1:  # the bracket is on a later line
        trailing = "," if gap.comma is not None else ""
        line = source.indent(last_start) + literal + trailing + source.newline()
        if source.line_start(last_start) == source.line_start(source.span(node)[0]):
            line = source.indent(last_start) + _one_level(source, last_start) + literal + trailing + source.newline()
        place = source.line_end(closing)
        return [(place, place, line)] if trailing else [(closing, closing, ","), (place, place, line)]
    separator = " "
    if len(node.elts) > 1:
        previous_end = source.span(node.elts[-2])[1]
        before = _gap(source, previous_end, last_start)
        if not before.comment and before.comma is not None:
            separator = text[before.comma + 1 : last_start].replace("(", "")
    if gap.comma is not None:
        return [(gap.comma + 1, gap.comma + 1, f"{separator}{literal},")]
    return [(closing, closing, f",{separator}{literal}")]


def _code_end(source: Source, start: int, end: int) -> int:
    """Return the offset after the last closing parenthesis or comma in the text between `start` and `end`."""
    last, position = start, start
    while position < end:
        if source.text[position] == "#":
            position = source.line_end(position)
            continue
        position += 1
        if source.text[position - 1] in "),":
            last = position
    return last


def _one_level(source: Source, offset: int) -> str:
    """Return one more level of indentation, in the manner of the line that holds `offset`."""
    return "\t" if "\t" in source.indent(offset) else "    "


def _first(source: Source, node: ast.List | ast.Tuple, item: str, start: int, end: int) -> list[tuple[int, int, str]]:
    literal = _quoted(item, "'")
    comma = "," if isinstance(node, ast.Tuple) else ""
    if source.line_end(start) <= end - 1:  # the brackets are on different lines
        line = source.indent(start) + _one_level(source, start) + literal + "," + source.newline()
        return [(source.line_end(start),) * 2 + (line,)]
    return [(start + 1, start + 1, literal + comma)]


def _take(source: Source, node: ast.List | ast.Tuple, index: int) -> list[tuple[int, int, str]]:
    text = source.text
    outer_start, outer_end = _brackets(source, node)
    start, end = source.span(node.elts[index])
    is_last = index == len(node.elts) - 1
    next_start = outer_end - 1 if is_last else source.span(node.elts[index + 1])[0]
    own = _gap(source, end, next_start).comma
    previous_end = source.span(node.elts[index - 1])[1] if index else outer_start + 1
    before = _gap(source, previous_end, start) if index else _Gap(None, False)
    after = own + 1 if own is not None else end
    line_start, line_end = source.line_start(start), source.line_end(after)
    alone = not text[line_start:start].strip() and re.fullmatch(r"[ \t\f]*(#[^\r\n]*)?[\r\n]+", text[after:line_end])
    if alone:
        edits = [(line_start, line_end, "")]
        if own is None and before.comma is not None:
            edits.insert(0, (before.comma, before.comma + 1, ""))
        return edits
    if before.comma is not None and own is not None:
        return [(before.comma + 1, after, "")] if not before.comment else [(start, after, "")]
    if before.comma is not None:
        return [(before.comma, end, "")] if not before.comment else [(start, end, "")]
    return [(start, after if is_last else next_start, "")]


def _checked(source: Source, edits: list[tuple[int, int, str]], locate: Locator, expected: list[str]) -> bytes:
    """Make the edits and prove that the list is as expected then, and that nothing else changed."""
    text = source.text
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    try:
        result = Source(text.encode(source.encoding))
        node = locate(result.tree)
    except (NotRecognisedError, UnicodeEncodeError) as error:
        raise NotRecognisedError("the list cannot be edited safely") from error
    if list(map(ast.dump, node.elts)) != expected:
        raise NotRecognisedError("the list cannot be edited safely")
    node.elts = list(locate(source.tree).elts)
    if ast.dump(result.tree) != ast.dump(source.tree):
        raise NotRecognisedError("the list cannot be edited safely")
    return result.encode()
