"""Safe ways for text that strangers wrote to reach generated files.

Model ids, label names and configuration values come from the Hub. They enter Python only as literals (`pyrepr`),
YAML only as JSON scalars and flow lists (`yamlrepr`), and comments or docstrings only as one harmless line
(`one_line`).
"""

from __future__ import annotations

import math
from typing import Any

from tao_hf.base.text import one_line

LINE_LIMIT = 100


def _quoted(text: str) -> str:
    """Return `text` in double quotes and ASCII, with the escapes that Python and YAML share."""
    escaped = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            escaped.append("\\" + char)
        elif 0x20 <= code < 0x7F:
            escaped.append(char)
        elif code <= 0xFF:
            escaped.append(f"\\x{code:02x}")
        else:
            escaped.append(f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
    return '"' + "".join(escaped) + '"'


def _scalar(value: Any) -> str:
    """Return the Python literal of a JSON scalar."""
    if isinstance(value, str):
        return _quoted(value)
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
    """Return `value` (a JSON-like scalar or list) as YAML on one line.

    The specs are read by OmegaConf, which would look up ``${...}`` in strings; it is escaped.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yamlrepr(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value).replace("${", "\\\\${")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and math.isfinite(value):
        mantissa, exponent, power = repr(value).partition("e")
        return mantissa + (".0" if exponent and "." not in mantissa else "") + exponent + power
    if isinstance(value, int):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no place in a generated spec.")


def configuration_fields(config: dict[str, Any]) -> dict[str, Any]:
    """Return what generated code builds a Hugging Face configuration from: all of `config` but its ``model_type``."""
    return _in_order({key: value for key, value in config.items() if key != "model_type"})


def _in_order(value: Any) -> Any:
    """Return `value` with the keys of its mappings sorted: answers do not keep their order."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def pascal_case(name: str) -> str:
    """Return the class name for a snake_case model name: ``vit_base_p16`` gives ``VitBaseP16``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)


FILTERS = {"pyrepr": pyrepr, "yamlrepr": yamlrepr, "one_line": one_line}
