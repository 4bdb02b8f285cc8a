"""Takes out of pytest's settings what version 0.4.0 wrote there: since then the tests declare their markers themselves.

It wrote between two comment lines. The second one holds a checksum of every marker line: a line that was changed
since, or put between the two by somebody, is theirs and stays.
"""

from __future__ import annotations

import re
import zlib

FILES = ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")

_BLOCK = re.compile(
    rb"^[ \t]*# tao-hf-template: begin.*\n(?P<lines>(?:.*\n)*?)[ \t]*# tao-hf-template: end(?P<checksums>.*)(?:\n|\Z)",
    re.MULTILINE,
)
_HEAD = re.compile(rb"\[.*\]|markers\s*[=:]")
_OF_MODEL = re.compile(rb"(\w+): tests of the model \1")
_MADE = re.compile(
    rb"# Made by tao-hf-template; it deletes this file again with its last model\.\r?\n"
    rb"\[pytest\]\r?\ntestpaths = [^\r\n]*\r?\n"
)


def without(content: bytes, model: str) -> bytes | None:
    """Return an ini file without the marker of `model`, and without the markers that models share after the last one.

    Returns:
        The content, or `None` when the whole file was ours.
    """
    rest = content
    for block in reversed(list(_BLOCK.finditer(content))):
        after = rest[block.end() :]
        rest = rest[: block.start()] + _kept(block, after, model.encode()) + after
    if rest == content:
        return content
    if not content.endswith(b"\n"):
        rest = rest.removesuffix(b"\n").removesuffix(b"\r")
    return None if _MADE.fullmatch(rest) else rest


def _kept(block: re.Match[bytes], after: bytes, model: bytes) -> bytes:
    """Return what stays of a block of ours: the markers of other models, else the lines that are not ours.

    A section and a key that we added stay where somebody's lines, in the block or after it, need them.
    """
    before, lines = block[0].splitlines(keepends=True)[0], block["lines"].splitlines(keepends=True)
    lines = [line for line in lines if _name(line) != model]
    if any(_OF_MODEL.fullmatch(line.strip()) for line in lines):
        return before + b"".join(lines) + block[0][block.end("lines") - block.start() :]
    heads = [line for line in lines[:2] if _HEAD.fullmatch(line.strip())]
    checksums = re.findall(rb"\b[0-9a-f]{4}\b", block["checksums"])
    theirs = [line for line in lines if line not in heads and _checksum(line.strip()) not in checksums]
    follower = next((line for line in after.splitlines() if _name(line)), b"")
    has_markers = any(map(_name, theirs))
    if not (has_markers or follower[:1] in (b" ", b"\t")):
        heads = [line for line in heads if line.startswith(b"[")]
    if not has_markers and follower[:1] in (b"", b"["):
        heads = []
    kept = [*heads, *theirs]
    return b"".join(line for line in lines if line in kept)


def _name(line: bytes) -> bytes:
    """Return what a line declares, as far as it declares a marker; nothing for a comment."""
    return re.split(rb"[:(]", line, maxsplit=1)[0].strip() if line.strip()[:1] not in (b"#", b";") else b""


def _checksum(line: bytes) -> bytes:
    return b"%04x" % (zlib.crc32(line) & 0xFFFF)
