"""Python source for what families and measurements say of a backbone: calls, imports, and paths of modules.

Standard library only and no other import: the proof renders the same files inside the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tao_hf.rendering.literals import LINE_LIMIT, pyrepr

NAME, CALL, TUPLE = "$name", "$call", "$tuple"
LONGEST_LINE = 120  # of generated code, as the lint step checks it
_STDLIB = ("functools", "math")
_ALIASES = (("torch.nn.", "from torch import nn", "nn."),)


def pycode(value: Any, indent: int = 0) -> str:
    """Return `value` as a Python expression.

    Args:
        value: JSON-like; ``{"$name": path}`` is something to import, ``{"$call": path, "args": [], "kwargs":
            [[name, value]]}`` a call, ``{"$tuple": []}`` a tuple.
        indent: Columns that the expression's first line is indented by.
    """
    if isinstance(value, Mapping) and NAME in value:
        return _short(value[NAME])
    if isinstance(value, Mapping) and CALL in value:
        parts = [pycode(item, indent + 4) for item in value["args"]]
        parts += [f"{key}={pycode(item, indent + 4)}" for key, item in value["kwargs"]]
        return _enclosed(_short(value[CALL]) + "(", parts, ")", indent)
    if isinstance(value, Mapping) and TUPLE in value:
        items = [pycode(item, indent + 4) for item in value[TUPLE]]
        return f"({items[0]},)" if len(items) == 1 else _enclosed("(", items, ")", indent)
    if isinstance(value, (list, tuple)):
        return _enclosed("[", [pycode(item, indent + 4) for item in value], "]", indent)
    if isinstance(value, Mapping):
        pairs = [f"{pyrepr(str(key))}: {pycode(item, indent + 4)}" for key, item in value.items()]
        return _enclosed("{", pairs, "}", indent)
    return pyrepr(value)


def import_lines(values: Iterable[Any], more: Iterable[str] = ()) -> list[str]:
    """Return the import statements that the expressions of `values` need, and `more`, in three sorted groups.

    Args:
        values: What `pycode` is called with; a string is a dotted path to import.
        more: Further statements.

    Returns:
        Lines: standard library, third party, NVIDIA's packages; an empty line between two groups.
    """
    lines: dict[str, set[str]] = {}
    for path in _paths(list(values)):
        alias = next((line for start, line, _ in _ALIASES if path.startswith(start)), None)
        module, _, name = path.rpartition(".")
        lines.setdefault(alias or f"from {module} import ", set()).update([] if alias else [name])
    statements = {start + ", ".join(sorted(names)) for start, names in lines.items()} | set(more)
    groups: list[list[str]] = [[], [], []]
    for line in sorted(statements, key=lambda line: (not line.startswith("import "), line.split()[1].lower(), line)):
        module = line.split()[1]
        groups[0 if module.split(".")[0] in _STDLIB else 2 if module.startswith("nvidia_tao") else 1].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group).split("\n")


def backbone_imports(backbone: Mapping[str, Any], more: Iterable[str] = ()) -> list[str]:
    """Return the import lines of a backbone's file; see `import_lines`.

    Args:
        backbone: What is known of it: ``network``, ``variants``, ``norms``.
        more: Further statements.
    """
    network = backbone["network"]
    statements = [
        *more,
        "from torch import nn",
        "from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY",
        *network["imports"],
    ]
    if backbone["norms"]:
        statements.append("from timm.layers import freeze_batch_norm_2d")
    if network["positions"]:
        statements.append("import math")
        if any(position["prefix"] for position in network["positions"].values()):
            statements.append("import torch")
    values = [{NAME: network["base"]}, *(variant["arguments"] for variant in backbone["variants"])]
    return import_lines(values, statements)


def import_line(line: str) -> str:
    """Return one import statement with its newline; wrapped where a long model name makes it too long.

    Args:
        line: ``from module import name, name``; it may be indented.
    """
    if len(line) <= LONGEST_LINE:
        return f"{line}\n"
    start, _, names = line.partition(" import ")
    indent = " " * (len(line) - len(line.lstrip()))
    first = f"{start} import ("
    note = "  # noqa: E501" if len(first) > LONGEST_LINE else ""
    return f"{first}{note}\n" + "".join(f"{indent}    {name},\n" for name in names.split(", ")) + f"{indent})\n"


def module_path(path: str) -> str:
    """Return how code names a submodule of ``self``: ``layers.0.norm`` gives ``self.layers[0].norm``."""
    return "self" + "".join(
        f"[{part}]" if part.lstrip("-").isdigit() else f".{part}" for part in path.split(".") if part
    )


def stage_items(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the items of a list of stages as Python source.

    Args:
        stages: ``{"each": container}`` for all children of a container, ``{"modules": [paths]}`` for one stage.
    """
    items = []
    for stage in stages:
        if "each" in stage:
            items.append("*" + module_path(stage["each"]))
        elif len(stage["modules"]) == 1:
            items.append(module_path(stage["modules"][0]))
        else:
            modules = _enclosed("[", list(map(module_path, stage["modules"])), "]", 12 + len("nn.ModuleList("))
            items.append(f"nn.ModuleList({modules})")
    return items


def listing(items: Iterable[str], indent: int = 0) -> str:
    """Return a list of expressions as Python source: on one line where it fits, else one item a line."""
    return _enclosed("[", list(items), "]", indent)


def rule_row(rule: Sequence[str]) -> str:
    """Return one conversion rule as a row of a table; one that does not fit a line, with a line for each name."""
    names, target, how = rule
    flat = f"({pyrepr(names)}, {pyrepr(target)}, {pyrepr(how)})"
    if len(flat) <= LINE_LIMIT + 14:
        return flat
    parts = names.split(" + ")
    lines = [pyrepr(part if place == 0 else f" + {part}") for place, part in enumerate(parts)]
    source = ("\n" + " " * 8).join(lines)
    return f"(\n        {source},\n        {pyrepr(target)},\n        {pyrepr(how)},\n    )"


def rawrepr(text: str) -> str:
    """Return a regular expression, which our own families wrote, as a raw string literal."""
    if '"' in text or text.endswith("\\"):
        raise ValueError(f"{text!r} cannot be a raw string in double quotes")
    return f'r"{text}"'


def _paths(value: Any) -> set[str]:
    if isinstance(value, str):
        return set()
    if isinstance(value, Mapping):
        own = {value[key] for key in (NAME, CALL) if key in value}
        return own.union(*map(_paths, value.values())) if value else own
    if isinstance(value, (list, tuple)):
        return set().union(*map(_paths, value)) if value else set()
    return set()


def _short(path: str) -> str:
    for start, _, prefix in _ALIASES:
        if path.startswith(start):
            return prefix + path.removeprefix(start)
    return path.rpartition(".")[2]


def _enclosed(opening: str, parts: Sequence[str], closing: str, indent: int) -> str:
    flat = opening + ", ".join(parts) + closing
    if len(flat) + indent <= LINE_LIMIT and "\n" not in flat:
        return flat
    pad = " " * (indent + 4)
    return opening + "\n" + "".join(f"{pad}{part},\n" for part in parts) + " " * indent + closing


FILTERS = {
    "backbone_imports": backbone_imports,
    "import_line": import_line,
    "listing": listing,
    "module_path": module_path,
    "pycode": pycode,
    "rawrepr": rawrepr,
    "rule_row": rule_row,
    "stage_items": stage_items,
}
