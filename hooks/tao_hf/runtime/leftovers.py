"""Find and remove what containers can leave behind in a working directory when they are killed together with us."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tao_hf.base import git
from tao_hf.base.errors import UserError
from tao_hf.clones.repos import REPOS
from tao_hf.runtime import engine

_BUILT = ("build", ".pytest_cache", "__pycache__")
_BUILT_ENDING = ".egg-info"


@dataclass(frozen=True)
class Leftovers:
    """What was found in a working directory.

    Attributes:
        containers: names of containers whose process on the host has ended.
        built: folders that installing and testing makes, which no clone tracks; they are removed.
        foreign: other files and folders that root owns though the working directory is somebody else's; they are handed
            back to the owner.
    """

    containers: tuple[str, ...]
    built: tuple[Path, ...]
    foreign: tuple[Path, ...]


def find(workdir: Path) -> Leftovers:
    """Return the leftovers of a working directory."""
    owner = workdir.stat().st_uid
    made = {path for repo in REPOS for path in _built(workdir / repo.name)}
    built = [path for path in made if not made & set(path.parents)]
    foreign = [
        path
        for path in _walk(workdir)
        if owner and path.lstat().st_uid == 0 and not any(path.is_relative_to(folder) for folder in built)
    ]
    return Leftovers(tuple(_containers(workdir)), tuple(sorted(built)), tuple(sorted(foreign)))


def clean(workdir: Path, dry_run: bool) -> int:
    """List the leftovers of a working directory, remove them unless `dry_run`, and return the exit status.

    Raises:
        UserError: something belongs to root and can be removed neither by this user nor through Docker.
    """
    found = find(workdir)
    for title, items in (
        ("containers without a process", found.containers),
        ("built by installing and testing", found.built),
        ("owned by root", found.foreign),
    ):
        if items:
            print(f"  {title}:")
            for item in items:
                print(f"    {item.relative_to(workdir) if isinstance(item, Path) else item}")
    count = len(found.containers) + len(found.built) + len(found.foreign)
    if not count:
        print("  nothing left behind")
    elif dry_run:
        print(f"\n  {count} would be removed or handed back; run ./tao-hf clean")
    else:
        for name in found.containers:
            engine.run("rm", "--force", name)
        _remove(workdir, found.built)
        _hand_back(workdir, found.foreign)
        print(f"\n  {count} removed or handed back")
    return 0


def _containers(workdir: Path) -> Iterator[str]:
    if engine.problem():
        return
    label, shown = f"label={engine.LABEL}.root={workdir}", f'{{{{.Names}}}} {{{{.Label "{engine.LABEL}.pid"}}}}'
    for line in engine.run("ps", "--all", "--filter", label, "--format", shown).splitlines():
        name, _, process = line.partition(" ")
        if not Path("/proc", process).is_dir():
            yield name


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder but what is below git's own folders; links are not followed."""
    for parent, folders, files in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        yield from (Path(parent, name) for name in (*folders, *files))


def _built(clone: Path) -> Iterator[Path]:
    """Yield the folders in a clone that building and testing makes: those of them that git ignores, or root made."""
    if not (clone / ".git").exists():
        return
    ignored = git.run("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", cwd=clone)
    known = {clone / os.fsdecode(name).rstrip("/") for name in ignored.split(b"\0") if name}
    owner = clone.stat().st_uid
    for path in _walk(clone):
        named = path.name in _BUILT or path.name.endswith(_BUILT_ENDING)
        if named and path.is_dir() and not path.is_symlink() and not set(path.parents) & known:
            if path in known or path.lstat().st_uid == 0 != owner:
                yield path


def _remove(workdir: Path, paths: tuple[Path, ...]) -> None:
    stubborn = []
    for path in paths:
        try:
            shutil.rmtree(path)
        except PermissionError:
            stubborn.append(path)
    _as_root(workdir, ["rm", "-rf", "--"], stubborn)


def _hand_back(workdir: Path, paths: tuple[Path, ...]) -> None:
    _as_root(workdir, ["chown", "-h", "--reference=/workspace", "--"], list(paths))


def _as_root(workdir: Path, argv: list[str], paths: list[Path]) -> None:
    """Run a command on paths of the working directory as root, in a container that sees nothing else."""
    if not paths:
        return
    if os.getuid() == 0:
        words = [word.replace("/workspace", str(workdir)) for word in argv]
        subprocess.run([*words, *map(str, paths)], check=True)
        return
    image = next((name for name in map(engine.prepared, engine.COMPONENTS) if engine.has_image(name)), None)
    if image is None:
        raise UserError(
            f"{paths[0]} and {len(paths) - 1} more belong to root, and there is no TAO image to change that with; "
            f"run: sudo chown -R {os.getuid()}:{os.getgid()} {workdir}"
        )
    inside = [f"/workspace/{path.relative_to(workdir).as_posix()}" for path in paths]
    mount = ("--volume", f"{workdir}:/workspace", "--network", "none", "--user", "0:0")
    engine.run("run", "--rm", *mount, "--entrypoint", argv[0], image, *argv[1:], *inside)
