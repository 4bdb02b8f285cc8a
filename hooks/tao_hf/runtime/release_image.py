"""Builds the release images of tao-pytorch and tao-deploy, on this machine and for this machine alone."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine, pass_through

DOCKERFILES = {"tao-pytorch": "release/docker/Dockerfile", "tao-deploy": "release/docker/Dockerfile.release"}
# What no image needs, and what is put in from elsewhere: the top-level tao-core, and the wheel of step 21.
_LEFT_OUT = (".git", "__pycache__")
_REPLACED = ("tao-core", "dist", "build")


def image(clone: str) -> str:
    """Return the name of a clone's release image, such as "tao-pytorch-release:latest"."""
    return f"{clone}-release:{os.environ.get('TAO_HF_IMAGE_TAG') or 'latest'}"


def build(workdir: Path, clone: str, wheel: Path, say: Callable[[str], None]) -> None:
    """Build the release image of a clone.

    The Dockerfile copies a nested `tao-core`, which in the clone is a stale submodule: the build context carries the
    top-level one in its place, and of `dist` only the wheel.

    Args:
        workdir: the working directory.
        clone: "tao-pytorch" or "tao-deploy".
        wheel: the wheel to install in the image.
        say: called with each line of output.

    Raises:
        UserError: the clone has no Dockerfile for it, or Docker could not build it.
    """
    dockerfile = DOCKERFILES[clone]
    if not (workdir / clone / dockerfile).is_file():
        raise UserError(
            f"{clone} has no {dockerfile}, which only a clone of NVIDIA's repository has: put one into the working "
            "directory to build its release image."
        )
    arguments = ["--force-rm", "--network", "host", "--build-arg", f"TARGETARCH={_architecture()}"]
    for name in pass_through.NETWORK:
        if name.lower().endswith("_proxy") and os.environ.get(name):
            arguments += ["--build-arg", name]
    argv = engine.command("build", *arguments, "--file", dockerfile, "--tag", image(clone), "-")
    with tempfile.TemporaryFile() as context:
        _pack(context, workdir, clone, wheel)
        context.seek(0)
        say(f"$ {' '.join(argv)}")
        status = _run(argv, context, say)
    if status:
        raise UserError(f"Docker could not build {image(clone)} (exit code {status}).")


def _architecture() -> str:
    """Return what BuildKit would set TARGETARCH to; the classic builder leaves that to its caller."""
    try:
        return engine.run("version", "--format", "{{.Server.Arch}}").strip()
    except engine.EngineError as error:
        raise UserError(f"The Docker daemon does not answer: {error.reason}.") from error


def _pack(file, workdir: Path, clone: str, wheel: Path) -> None:
    """Write the build context: the clone, the top-level tao-core in it, and the wheel."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(entry.name).name in _LEFT_OUT:
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    # Docker knows a tar by its first 512 bytes, which in Python's default format may not be a whole header.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted((workdir / clone).iterdir()):
            if path.name not in (*_LEFT_OUT, *_REPLACED):
                archive.add(path, path.name, filter=plain)
        archive.add(workdir / "tao-core", "tao-core", filter=plain)
        archive.add(wheel, f"dist/{wheel.name}", filter=plain)


def _run(argv: list[str], context, say: Callable[[str], None]) -> int:
    child = subprocess.Popen(
        argv, stdin=context, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    try:
        for line in child.stdout:
            say(line.rstrip("\n"))
        return child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
