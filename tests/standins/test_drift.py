"""Keeps the stand-ins from drifting: every name and signature they have must fit the real package's."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import STANDINS

TAO_PYTORCH = STANDINS / "tao_pytorch"
TENSORRT_WHEEL = "tensorrt-cu12-bindings==10.13.3.9"  # the bindings alone: 1.2 MB, no GPU, no libraries

# What the stand-in has of its own, and why the real one need not have it.
OWN = {
    "nvidia_tao_pytorch/__init__.py": {"IS_STAND_IN"},
    "nvidia_tao_pytorch/core/__init__.py": {"IS_STAND_IN"},
    # fvcore's class, which the real registry imports
    "nvidia_tao_pytorch/cv/backbone_v2/registry.py": {"Registry"},
    # Lightning's hooks, which the real callback need not override because it wraps the optimizer instead
    "nvidia_tao_pytorch/core/callbacks/ema.py": {"EMA.on_train_start", "EMA.on_train_batch_end"},
    # inherited in the real one, from Cookbook
    "nvidia_tao_pytorch/core/cookbooks/tlt_pytorch_cookbook.py": {
        "TLTPyTorchCookbook.get_passphrase",
        "TLTPyTorchCookbook.set_passphrase",
    },
}


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield (dotted name, definition) of what a module itself offers, methods and constructors included."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and not target.id.startswith("_"):
                    yield target.id, node
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        if not inner.name.startswith("_") or inner.name in ("__init__", "__call__"):
                            yield f"{node.name}.{inner.name}", inner
                    elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                        yield f"{node.name}.{inner.target.id}", inner


def names(tree: ast.Module) -> dict[str, ast.AST]:
    """Return every name a module offers: what it defines, and what it imports from elsewhere."""
    found = dict(public(tree))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, node)
    return found


def parameters(function: ast.FunctionDef) -> list[tuple[str, str | None]]:
    """Return (name, default as source or None) of each parameter; starred ones keep their stars."""
    arguments = function.args
    plain = arguments.posonlyargs + arguments.args
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults += arguments.defaults
    found = [(a.arg, d and ast.unparse(d)) for a, d in zip(plain, defaults, strict=True)]
    if arguments.vararg:
        found.append(("*" + arguments.vararg.arg, None))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, default and ast.unparse(default)))
    if arguments.kwarg:
        found.append(("**" + arguments.kwarg.arg, None))
    return found


def drift(stand_in: ast.Module, real: ast.Module, own: set[str]) -> list[str]:
    """Return what is wrong with the stand-in of one module, one sentence each."""
    wrong = []
    offered = names(real)
    for name, node in public(stand_in):
        if name in own or name.split(".")[0] in own:
            continue
        other = offered.get(name)
        if other is None:
            parent = offered.get(name.split(".")[0])
            # A constructor that the real class inherits is not drift, a method that it lacks is.
            if not (name.endswith(".__init__") and isinstance(parent, ast.ClassDef)):
                wrong.append(f"{name} does not exist in the real module")
        elif isinstance(node, ast.FunctionDef) and isinstance(other, ast.FunctionDef):
            mine, theirs = parameters(node), parameters(other)
            if not accepts_alike(mine, theirs):
                wrong.append(f"{name}{tuple(mine)} is {tuple(theirs)} in the real module")
        elif isinstance(node, ast.AnnAssign) and isinstance(other, ast.AnnAssign):
            default = [part.value and ast.unparse(part.value) for part in (node, other)]
            if default[0] != default[1]:
                wrong.append(f"{name} defaults to {default[0]}, in the real module to {default[1]}")
        elif not isinstance(other, (type(node), ast.ImportFrom)):
            wrong.append(f"{name} is of another kind in the real module")
    return wrong


def accepts_alike(mine: list[tuple[str, str | None]], theirs: list[tuple[str, str | None]]) -> bool:
    """Return whether calls that the stand-in accepts mean the same to the real function.

    Names, order and defaults must be equal; parameters that one side leaves to a starred one may differ.
    """
    starred = any(name.startswith("*") for name, _ in theirs) or any(name.startswith("*") for name, _ in mine)
    if not starred:
        return mine == theirs
    named_mine = [item for item in mine if not item[0].startswith("*")]
    named_theirs = [item for item in theirs if not item[0].startswith("*")]
    shorter = min(len(named_mine), len(named_theirs))
    return named_mine[:shorter] == named_theirs[:shorter]


STAND_IN_FILES = sorted(
    path.relative_to(TAO_PYTORCH).as_posix()
    for path in (TAO_PYTORCH / "nvidia_tao_pytorch").rglob("*.py")
    if path.name != "__init__.py" or path.parent.name in ("mlops", "nvidia_tao_pytorch", "core")
)


def parse(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("file", STAND_IN_FILES)
def test_tao_pytorch(file: str, tao_pytorch_clone: Path) -> None:
    """Each stand-in module exists in the real tao-pytorch, with fitting names, signatures and defaults."""
    real = tao_pytorch_clone / file
    assert real.is_file(), f"{file} does not exist in the real tao-pytorch"
    wrong = drift(parse(TAO_PYTORCH / file), parse(real), OWN.get(file, set()))
    assert not wrong, "\n".join(wrong)


def test_backbones_are_listed_as_in_the_real_package(tao_pytorch_clone: Path) -> None:
    """The stand-in's backbones come from modules of the same names as the real ones."""

    def imported(root: Path) -> dict[str, str]:
        tree = parse(root / "nvidia_tao_pytorch/cv/backbone_v2/__init__.py")
        nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        return {alias.name: node.module or "" for node in nodes for alias in node.names}

    ours, theirs = imported(TAO_PYTORCH), imported(tao_pytorch_clone)
    assert len(ours) > 2
    assert {name: theirs.get(name) for name in ours} == ours


def test_console_scripts_have_the_real_form(tao_pytorch_clone: Path) -> None:
    """What setup.py registers in the stand-in is registered in the real one, word for word."""

    def scripts(root: Path) -> set[str]:
        texts = (node.value for node in ast.walk(parse(root / "setup.py")) if isinstance(node, ast.Constant))
        return {text for text in texts if isinstance(text, str) and re.fullmatch(r"\w+=[\w.]+:main", text)}

    assert scripts(TAO_PYTORCH)
    assert scripts(TAO_PYTORCH) <= scripts(tao_pytorch_clone)


def test_eff_offers_all_that_tao_imports(tao_pytorch_clone: Path) -> None:
    """Every name that tao-pytorch imports from eff exists in the stand-in."""
    missing = []
    for path in (tao_pytorch_clone / "nvidia_tao_pytorch").rglob("*.py"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if "eff" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "eff":
                file = STANDINS / "modules" / Path(*node.module.split("."))
                file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
                offered = names(parse(file)) if file.is_file() else {}
                wanted = {alias.name for alias in node.names}
                missing += [f"{node.module}.{name}" for name in sorted(wanted - set(offered))]
    assert not missing


class Bindings(NamedTuple):
    """Compiled bindings: their bytes, and every word in them."""

    content: bytes
    words: frozenset[bytes]


@pytest.fixture(scope="module")
def tensorrt_bindings(tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    """Return TensorRT's real Python bindings: names can be looked up in them, nothing can be run."""
    folder = tmp_path_factory.mktemp("tensorrt")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--platform",
         "manylinux_2_28_x86_64", "--python-version", "3.11", "-d", str(folder), TENSORRT_WHEEL],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = done.stderr.strip()[-200:]
        pytest.skip(f"TENSORRT DRIFT NOT CHECKED: {TENSORRT_WHEEL} cannot be had: {reason}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        content = b"\n".join(wheel.read(name) for name in wheel.namelist() if name.endswith((".so", ".py")))
    return Bindings(content, frozenset(re.findall(rb"\w+", content)))


def known(name: str, bindings: Bindings) -> bool:
    """Return whether `name` occurs in compiled bindings.

    Compilers put short texts into instructions, eight or four bytes at a time; then the beginning must do.
    """
    whole = name.encode("ascii")
    if whole in bindings.words:
        return True
    return len(whole) < 16 and (whole[:8] if len(whole) >= 8 else whole[:4]) in bindings.content


def test_tensorrt(tensorrt_bindings: Bindings) -> None:
    """Every class, enumeration member, method and function of the stand-in exists in TensorRT."""
    own = {
        "EXECUTOR", "IS_STAND_IN", "MAJOR", "RefusalError", "data_type", "device_array", "fill", "is_quantized",
        "precision", "read_engine", "to_fp16", "to_int8", "write_engine",
    }  # fmt: skip
    offered = set()
    for path in (STANDINS / "modules" / "tensorrt").glob("*.py"):
        tree = parse(path)
        offered |= {part for name, _ in public(tree) for part in name.split(".")}
        for node in ast.walk(tree):  # members of enumerations made with the functional form
            named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_Enum"
            if made or (named and node.targets[0].id == "_FLAGS"):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                offered |= {word for text in texts if isinstance(text, str) for word in text.split()}
    assert {"Builder", "EXPLICIT_BATCH", "execute_async_v3"} <= offered
    assert not sorted(name for name in offered - own if not known(name, tensorrt_bindings))


def test_tensorrt_parameters(tensorrt_bindings: Bindings) -> None:
    """Parameters that callers may name exist in TensorRT's signatures."""
    named = ("pool_size", "serialized_timing_cache", "ignore_mismatch", "stream_handle", "profile_index")
    for parameter in named:
        assert known(parameter, tensorrt_bindings), parameter


def test_the_search_sees_what_tensorrt_lacks(tensorrt_bindings: Bindings) -> None:
    """Names that TensorRT 10 does not have are not found."""
    for name in ("UffParser", "execute_async_v4", "STRICT_TYPES", "set_tensor_adress"):
        assert not known(name, tensorrt_bindings), name


def test_the_comparison_sees_drift() -> None:
    """A renamed parameter, a changed default, a new name and a lost field are each reported."""
    real = ast.parse("def f(a, b=1): pass\nclass C:\n    x: int = 1\n    def m(self, a): pass\n")
    cases = {
        "def f(a, c=1): pass": "f(",
        "def f(a, b=2): pass": "f(",
        "def f(a, b=1, c=2): pass": "f(",
        "def g(): pass": "g does not exist",
        "class C:\n    x: int = 2": "C.x defaults to 2",
        "class C:\n    y: int = 1": "C.y does not exist",
        "class C:\n    def m(self, b): pass": "C.m(",
        "class C:\n    def n(self): pass": "C.n does not exist",
        "def C(): pass": "C is of another kind",
    }
    for source, expected in cases.items():
        wrong = drift(ast.parse(source), real, set())
        assert len(wrong) == 1 and expected in wrong[0], (source, wrong)
    same = "def f(a, b=1): pass\nclass C:\n    x: int = 1\n    def m(self, a): pass\n"
    assert drift(ast.parse(same), real, set()) == []
