"""Prove that Python takes tao-core from the working directory, not from a copy nested in another clone.

    python -m tao_hf.in_runtime.check.origin WORKDIR MODEL [--installed]

Runs inside the runtime. Clones of tao-pytorch and tao-deploy carry a `tao-core` folder of their own, a stale submodule
without the person's models. Prints one line per broken rule and ends with 1; ends with 0 when all hold:

    path        WORKDIR/tao-core comes first of all tao-core folders on sys.path, and is what an import finds
    schema      nvidia_tao_core.config.MODEL is part of it
    installed   (--installed) the installed tao-core was built from WORKDIR/tao-core and holds the model's schema too
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

PACKAGE = "nvidia_tao_core"


def path_problems(core: Path) -> Iterator[str]:
    """Yield what is wrong with where an import finds tao-core."""
    folders = [Path(entry).resolve() for entry in sys.path if (Path(entry or ".") / PACKAGE).is_dir()]
    if not folders:
        yield f"{PACKAGE} cannot be imported: {core} is not on PYTHONPATH"
    elif folders[0] != core:
        yield f"{PACKAGE} comes from {folders[0]}, not from {core}: that must be first on PYTHONPATH"
    spec = importlib.util.find_spec(PACKAGE)
    found = Path(next(iter(spec.submodule_search_locations))).resolve() if spec else None
    if folders and folders[0] == core and found != (core / PACKAGE).resolve():
        yield f"{PACKAGE} comes from {found}, not from {core}: something put it in front of PYTHONPATH"


def schema_problems(core: Path, model: str) -> Iterator[str]:
    """Yield what is wrong with where the model's schema comes from."""
    try:
        spec = importlib.util.find_spec(f"{PACKAGE}.config.{model}")
    except ImportError:
        spec = None
    if spec is None:
        yield f"{PACKAGE}.config.{model} cannot be imported: the tao-core in use does not know the model"
    elif not Path(next(iter(spec.submodule_search_locations))).resolve().is_relative_to(core):
        yield f"{PACKAGE}.config.{model} comes from {spec.origin}, not from {core}"


def installed_problems(core: Path, model: str) -> Iterator[str]:
    """Yield what is wrong with the installed tao-core."""
    try:
        installed = importlib.metadata.distribution("nvidia-tao-core")
    except importlib.metadata.PackageNotFoundError:
        yield f"tao-core is not installed: {core} must be installed before the other clones"
        return
    url = json.loads(installed.read_text("direct_url.json") or "{}").get("url", "")
    origin = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
    if origin is None or origin.resolve() != core:
        yield f"the installed tao-core was built from {origin or 'a package index'}, not from {core}"
    # -I leaves PYTHONPATH out: what a program finds that is started without it.
    find = f"import importlib.util as u, sys; sys.exit(u.find_spec('{PACKAGE}.config.{model}') is None)"
    if subprocess.run([sys.executable, "-I", "-c", find], capture_output=True, check=False).returncode:
        yield f"the installed tao-core does not hold {PACKAGE}.config.{model}: install {core} again"


def main() -> int:
    """Print every broken rule; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir", type=Path)
    parser.add_argument("model")
    parser.add_argument("--installed", action="store_true")
    args = parser.parse_args()
    core = (args.workdir / "tao-core").resolve()  # the clone itself may be a link
    problems = [*path_problems(core), *schema_problems(core, args.model)]
    if args.installed:
        problems += installed_problems(core, args.model)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{PACKAGE} comes from {core}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
