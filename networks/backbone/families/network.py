"""What a family says of a model: another implementation of the same network, and how the tensors' names translate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class NotTheSame(Exception):  # noqa: N818 - not an error: the family looked, and the networks differ
    """This configuration is not what the other implementation computes; the text says why, as half a sentence."""


@dataclass(frozen=True)
class Name:
    """Something to import and pass on as it is, such as ``torch.nn.SiLU``."""

    path: str


@dataclass(frozen=True)
class Call:
    """A call of something to import, such as ``functools.partial(torch.nn.LayerNorm, eps=1e-12)``."""

    path: str
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """Another implementation of a Hugging Face classifier.

    Attributes:
        base: Class to import and extend, as a dotted path.
        arguments: Keyword arguments of its constructor: JSON-like values, `Name` and `Call`. ``num_classes`` and
            ``in_chans`` are passed besides.
        rules: Conversion rules, see the template of ``utils/hf_checkpoint_converter.py``.
        spellings: Regular expressions and replacements that bring tensor names of transformers 4 to those of 5.
        sized: The constructor takes ``img_size``, (height, width) in pixels.
        positions: Position embeddings that follow the image size, by tensor name: {"prefix": tokens before the grid's,
            "native": [rows, columns] of the checkpoint's grid, "mode": "bicubic", ...}.
        imports: Import lines that `setup` and `methods` need.
        setup: Statements at the end of the constructor, unindented.
        methods: Methods that replace the base's, unindented.
        variants: What differs in `arguments` for the other sizes of the family that timm knows, by a short name such as
            ``large_patch16``; those whose parts are measured to be the same are registered too.
    """

    base: str
    arguments: dict[str, Any]
    rules: tuple[tuple[str, str, str], ...]
    spellings: tuple[tuple[str, str], ...] = ()
    sized: bool = False
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    setup: str = ""
    methods: str = ""
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
