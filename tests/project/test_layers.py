"""Who may import whom: packages only lower ones, no circle between modules, and no path that is edited at run time."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import HOOKS, ROOT

# The lowest first. What runs inside the runtime is no layer of these: it knows nothing of the host's but the lowest.
LAYERS = (
    "base", "workdir", "answers", "clones", "runtime", "rendering", "inspection", "selftest", "lifecycle", "questions",
    "cli",
)  # fmt: skip
IN_RUNTIME = {"in_runtime", "base", "rendering"}
# Whose package lies elsewhere than beside them: the launcher in a working directory, and what Copier loads by its path.
MAY_EDIT_THE_PATH = {"hooks/tao-hf", "extensions/tao_hf_template.py"}
PYTHON = ("hooks", "extensions", "networks", "tasks", "benchmarks", "demo", "tests", "standins")


def modules(hooks: Path) -> dict[str, Path]:
    """Return the files of the package by the name that they are imported by."""
    found = {}
    for path in sorted((hooks / "tao_hf").rglob("*.py")):
        name = ".".join(path.relative_to(hooks).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of every module among `known` that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in dict.fromkeys(names) if name in known)


def layer(module: str) -> str:
    """Return the part of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def may_import(importer: str, imported: str) -> bool:
    """Tell whether a module of one layer may import one of another."""
    if importer == imported:
        return True
    if importer == "in_runtime":
        return imported in IN_RUNTIME
    return imported in LAYERS and LAYERS.index(imported) < LAYERS.index(importer)


def problems(hooks: Path) -> list[str]:
    """Return what is wrong with the imports of a package ``tao_hf``."""
    files = modules(hooks)
    found, graph = [], {}
    for name, path in files.items():
        graph[name] = set()
        for line, imported in imports(path, set(files)):
            graph[name].add(imported)
            if imported != "tao_hf" and not may_import(layer(name), layer(imported)):
                found.append(f"{path.relative_to(hooks)}:{line}: {layer(name)} imports {imported}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a circle: {' <- '.join(error.args[1])}")
    return found


def path_edits(root: Path) -> list[str]:
    """Return where Python code changes ``sys.path``, relative to `root`."""
    files = [path for folder in PYTHON for path in (root / folder).rglob("*.py")]
    files += [root / "hooks" / "tao-hf"]
    return sorted(
        f"{path.relative_to(root)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _edits_the_path(node)
    )


def _edits_the_path(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and _is_the_path(node.func.value)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(_is_the_path(target.value if isinstance(target, ast.Subscript) else target) for target in targets)


def _is_the_path(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys"


def test_every_part_of_the_package_has_its_place() -> None:
    assert {layer(name) for name in modules(HOOKS)} - {""} == {*LAYERS, "in_runtime"}


def test_imports_go_down_and_in_no_circle() -> None:
    assert problems(HOOKS) == []


def test_no_code_edits_sys_path() -> None:
    assert {place.partition(":")[0] for place in path_edits(ROOT)} == MAY_EDIT_THE_PATH


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a copy of the hooks that a test may spoil."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("hooks", "extensions"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("base/git.py", "from tao_hf.workdir import ledger", "base imports tao_hf.workdir.ledger"),
        ("clones/repos.py", "import tao_hf.selftest.runner", "clones imports tao_hf.selftest.runner"),
        ("rendering/literals.py", "def late():\n    from tao_hf import cli", "rendering imports tao_hf.cli"),
        ("runtime/local.py", "from tao_hf.in_runtime.check import lint", "runtime imports tao_hf.in_runtime.check"),
        ("in_runtime/probe/task.py", "from tao_hf.runtime import local", "in_runtime imports tao_hf.runtime.local"),
        ("base/errors.py", "from tao_hf.base import atomic", "a circle: "),
    ],
)
def test_a_wrong_import_is_found(planted: Path, file: str, line: str, said: str) -> None:
    with (planted / "hooks" / "tao_hf" / file).open("a", encoding="utf-8") as opened:
        opened.write(f"\n{line}\n")
    assert any(said in problem for problem in problems(planted / "hooks"))


@pytest.mark.parametrize(
    "line", ["sys.path.insert(0, 'x')", "sys.path[:0] = ['x']", "sys.path += ['x']", "sys.path = ['x', *sys.path]"]
)
def test_an_edit_of_the_path_is_found(planted: Path, line: str) -> None:
    with (planted / "hooks" / "tao_hf" / "cli.py").open("a", encoding="utf-8") as opened:
        opened.write(f"\nimport sys\n{line}\n")
    assert any(place.startswith("hooks/tao_hf/cli.py:") for place in path_edits(planted))
