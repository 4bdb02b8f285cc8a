"""Where tao-core comes from, when the clone in the working directory is a symbolic link."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import HOOKS


def origin(workdir: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run the check with these folders on PYTHONPATH."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, HOOKS]))}
    argv = [sys.executable, "-m", "tao_hf.in_runtime.check.origin", str(workdir), "tiny_vit"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def clone(folder: Path) -> Path:
    """Make a tao-core that knows the model."""
    package = folder / "nvidia_tao_core" / "config" / "tiny_vit"
    package.mkdir(parents=True)
    for part in (package, *list(package.parents)[:2]):
        (part / "__init__.py").touch()
    return folder


def test_a_clone_that_is_a_link(tmp_path: Path) -> None:
    """The link and what it points to are the same clone; another clone is still found out."""
    elsewhere = clone(tmp_path / "elsewhere" / "tao-core")
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    (workdir / "tao-core").symlink_to(elsewhere)
    done = origin(workdir, workdir / "tao-core")
    assert done.returncode == 0, done.stdout
    other = clone(tmp_path / "other")
    done = origin(workdir, other, workdir / "tao-core")
    assert done.returncode == 1 and f"comes from {other}, not from" in done.stdout
