"""Registers a model's backbone in ``backbone_v2/__init__.py`` of tao-pytorch: its import, and its ``__all__`` names."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from tao_hf.clones import python_lists
from tao_hf.clones.python_lists import NotRecognisedError

FILE = "nvidia_tao_pytorch/cv/backbone_v2/__init__.py"
PACKAGE = "nvidia_tao_pytorch.cv.backbone_v2"


def exported(tree: ast.Module) -> ast.List | ast.Tuple:
    """Return the list assigned to ``__all__``: the locator for `python_lists`.

    Raises:
        NotRecognisedError: There is none, or it is put together from several parts.
    """
    return python_lists.assigned(tree, "__all__")


def with_backbone(
    content: bytes, model: str, module: str | None, names: Sequence[str], defined: Collection[str] = ()
) -> bytes:
    """Return ``backbone_v2/__init__.py`` with `names` imported from `module` and listed in ``__all__``, once.

    Args:
        content: The file.
        model: The model.
        module: Its file in ``backbone_v2/``; other imports of the model go.
        names: What to import; nothing takes the model out.
        defined: What the file defines: of that, what is imported already stays.

    Raises:
        NotRecognisedError: It cannot be edited safely.
    """
    source = python_lists.Source(content)
    ours = _imports(source, model, module)
    imported = [alias.name for node in ours for alias in node.names]
    own = [name for name in imported if name in defined and name not in names] if names else []
    wanted = [*names, *dict.fromkeys(own)]
    there = [(alias.name, alias.asname, _backbone_file(node)) for node in ours for alias in node.names]
    if len(there) != len(wanted) or set(there) != {(name, None, module) for name in wanted}:
        content = _without_imports(source, model, ours)
        if wanted:
            content = _with_import(python_lists.Source(content), model, str(module), wanted)
    return _with_exported(content, model, module, wanted, {model, *imported}.difference(wanted))


def definitions(path: Path) -> set[str]:
    """Return the names that a Python file defines; none when it cannot be read."""
    try:
        return _names(python_lists.Source(path.read_bytes()).tree.body)
    except (OSError, NotRecognisedError):
        return set()


def _comment(model: str, module: str) -> str:
    """Return the row above our import in ``backbone_v2/__init__.py``: by it later templates know the file's name."""
    return f"# tao-hf-template: backbone {module} of {model}"


def _imports(source: python_lists.Source, model: str, module: str | None) -> list[ast.ImportFrom]:
    """Return the imports of a model's backbone: from `module`, and from the files of other templates."""
    modules = {module, f"hf_{model}", *re.findall(_comment(model, r"(\w+)") + r"\s", source.text)}
    return [
        node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) and _backbone_file(node) in modules
    ]


def _backbone_file(node: ast.ImportFrom) -> str:
    """Return the name of the file in ``backbone_v2/`` that a statement imports from, nothing for other statements."""
    package, _, name = (node.module or "").rpartition(".")
    return name if (package, node.level) in ((PACKAGE, 0), ("", 1)) else ""


def _names(statements: Sequence[ast.stmt]) -> set[str]:
    """Return the names that statements bind."""
    names: set[str] = set()
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


def _with_import(source: python_lists.Source, model: str, module: str, names: Sequence[str]) -> bytes:
    imports = [node for node in source.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not imports:
        raise NotRecognisedError("it has no import to put ours after")
    place = source.line_end(source.span(imports[-1])[1])
    newline = source.newline()
    rows = [_comment(model, module), f"from {PACKAGE}.{module} import (", *(f"    {name}," for name in names), ")"]
    before = source.text[:place]
    addition = "".join(row + newline for row in rows) if before.endswith(("\n", "\r")) else newline + newline.join(rows)
    body = list(source.tree.body)
    body.insert(body.index(imports[-1]) + 1, ast.parse("\n".join(rows)).body[0])
    return _with_body(source, before + addition + source.text[place:], body)


def _without_imports(source: python_lists.Source, model: str, imports: Sequence[ast.ImportFrom]) -> bytes:
    """Return the file without `imports`, and without our comments."""
    text = source.text
    comment = re.compile(_comment(model, r"\w+"))
    rows = [(start, source.line_end(start)) for start in source.starts]
    cuts = [(start, stop) for start, stop in rows if comment.fullmatch(text[start:stop].strip())]
    for node in imports:
        start, end = source.span(node)
        stop = source.line_end(end)
        if node not in source.tree.body or source.line_start(start) != start:
            raise NotRecognisedError(f"the import of {_backbone_file(node)} is inside other code")
        if re.sub("#.*", "", text[end:stop]).strip():
            raise NotRecognisedError(f"the import of {_backbone_file(node)} shares its line with other code")
        cuts.append((start, stop))
    kept = text
    for start, stop in sorted(cuts, reverse=True):
        kept = kept[:start] + kept[stop:]
    if kept != text and not text.endswith(("\n", "\r")) and max(cuts)[1] == len(text):
        kept = kept.removesuffix(source.newline())
    return _with_body(source, kept, [node for node in source.tree.body if node not in imports])


def _with_body(source: python_lists.Source, text: str, body: Sequence[ast.stmt]) -> bytes:
    """Return `text` as a file, after proving that it consists of the statements `body`."""
    try:
        result = python_lists.Source(text.encode(source.encoding))
    except (NotRecognisedError, UnicodeEncodeError) as error:
        raise NotRecognisedError("its imports cannot be edited safely") from error
    if list(map(ast.dump, result.tree.body)) != list(map(ast.dump, body)):
        raise NotRecognisedError("its imports cannot be edited safely")
    return result.encode()


def _with_exported(content: bytes, model: str, module: str | None, wanted: Sequence[str], gone: set[str]) -> bytes:
    """Return the file with each name in `wanted` once in ``__all__``, and those in `gone` no more."""
    source = python_lists.Source(content)
    ours = _imports(source, model, module)
    others = _names([node for node in source.tree.body if node not in ours])
    statements = python_lists.assignments(source.tree, "__all__")
    listed = [text for node in statements for text in python_lists.constants(node)]
    for name in sorted({*gone, *wanted} - others):
        for _ in range(listed.count(name) - (name in wanted)):
            content = python_lists.removed(content, exported, name)
    for name in wanted if statements else ():
        if name not in listed:
            content = python_lists.added(content, exported, name)
    return content
