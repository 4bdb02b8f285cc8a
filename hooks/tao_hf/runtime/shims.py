"""Console commands of a clone that is not installed: small files made from its setup.py, read and never run."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from tao_hf.base import atomic

CLONES = {"pytorch": "tao-pytorch", "deploy": "tao-deploy"}
_SHIM = """#!/bin/sh
'''exec' python "$0" "$@"
' '''
# Written by tao-hf from {clone}/setup.py: {name} = {module}:{function}
import sys

from {module} import {function}

sys.exit({function}())
"""


def console_scripts(setup_py: Path) -> dict[str, tuple[str, str]]:
    """Return {name: (module, function)} of the `console_scripts` in a setup.py.

    The file is parsed, not run, so a setup.py that imports torch or compiles CUDA code does no harm. Entries that
    are not plain `name=module:function` strings are left out; a missing or broken file gives {}.
    """
    try:
        tree = ast.parse(setup_py.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    scripts: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "console_scripts" and isinstance(value, ast.List):
                for item in value.elts:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        _add(scripts, item.value)
    return scripts


def _add(scripts: dict[str, tuple[str, str]], entry: str) -> None:
    name, _, target = (part.strip() for part in entry.partition("="))
    module, _, function = (part.strip() for part in target.partition(":"))
    dotted = all(part.isidentifier() for part in module.split("."))
    plain = name.replace("-", "_").replace(".", "_").isidentifier()
    if plain and dotted and function.isidentifier() and name != "python":
        scripts[name] = (module, function)


def write_console_shims(workdir: Path, context: str) -> Path:
    """Bring `<workdir>/.tao-hf/bin/<context>/` in line with the clone's setup.py and return that directory.

    Commands whose module file is not in the clone get no shim; shims whose entry is gone are deleted. A shim runs the
    first `python` on PATH, which `Runtime.run` sees to.
    """
    clone = CLONES[context]
    bin_dir = workdir / ".tao-hf" / "bin" / context
    bin_dir.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for name, (module, function) in console_scripts(workdir / clone / "setup.py").items():
        if (workdir / clone / Path(*module.split("."))).with_suffix(".py").is_file():
            wanted[name] = _SHIM.format(clone=clone, name=name, module=module, function=function)
    for old in bin_dir.iterdir():
        if old.name not in wanted and old.name != "python":
            old.unlink()
    for name, text in wanted.items():
        shim = bin_dir / name
        if not shim.is_file() or shim.read_text(encoding="utf-8") != text:
            atomic.write(shim, text)
        if not os.access(shim, os.X_OK):
            shim.chmod(0o755)
    return bin_dir
