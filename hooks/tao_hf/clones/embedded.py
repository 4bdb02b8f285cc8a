"""Lays out what can be had without GitHub (PyPI wheels, our tao-pytorch stand-in) like git clones."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

from tao_hf.base import git
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import activity
from tao_hf.clones.repos import Repo

STAND_IN = TEMPLATE / "standins" / "tao_pytorch"
_DOWNLOAD_SECONDS = 600
_IGNORED = ("__pycache__", "*.pyc", "*.egg-info", "build", "dist")

_SETUP = '''"""Setup script of {name} {version} as published on PyPI."""

import setuptools

setuptools.setup(
    name={name!r},
    version={version!r},
    packages=setuptools.find_namespace_packages(include=[{packages}]),
    package_data={{'': ['*']}},
    zip_safe=False,
    entry_points={{
        'console_scripts': [
{scripts}        ]
    }},
)
'''


def cache_name(repo: Repo, tao_version: str) -> str:
    """Return the name of an embedded repository's cache folder: it changes whenever the content would."""
    if repo.wheel:
        return f"{repo.name}-{tao_version}-wheel"
    digest = hashlib.sha256()
    for path in _stand_in_files():
        digest.update(path.relative_to(STAND_IN).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{repo.name}-stand-in-{digest.hexdigest()[:12]}"


def lay_out(repo: Repo, tao_version: str, folder: Path) -> None:
    """Make `folder` a git repository with one commit holding `repo` as published.

    Args:
        repo: The repository; without a wheel it is the stand-in.
        tao_version: Version of the wheel.
        folder: An empty folder.

    Raises:
        UserError: The wheel cannot be had, or is broken.
    """
    if repo.wheel:
        with activity(f"Fetching {repo.wheel} {tao_version} from PyPI"):
            _lay_out_wheel(repo.wheel, tao_version, folder)
        title = f"{repo.wheel} {tao_version} as published"
    else:
        for path in _stand_in_files():
            target = folder / path.relative_to(STAND_IN)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        title = "tao-pytorch stand-in as published"
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("".join(f"{pattern}\n" for pattern in _IGNORED), encoding="utf-8")
    _commit(folder, title)


def _stand_in_files() -> list[Path]:
    paths = (path for path in STAND_IN.rglob("*") if path.is_file())
    return sorted(path for path in paths if path.suffix != ".pyc" and ".egg-info" not in path.as_posix())


def _commit(folder: Path, title: str) -> None:
    """Commit everything in `folder`: same content, same commit id, whatever git's configuration."""
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "tao-hf-template"), ("EMAIL", "tao-hf-template@localhost"), ("DATE", "2026-01-01T00:00:00Z"),
    )}  # fmt: skip
    git.run("init", "--quiet", "--template=", "--initial-branch=main", cwd=folder)
    plain = ("core.autocrlf=false", "core.hooksPath=/dev/null", "commit.gpgSign=false", "core.safecrlf=false")
    git.run("add", "--force", "--all", cwd=folder, timeout=300, settings=plain)
    git.run("commit", "--quiet", "--message", title, cwd=folder, timeout=300, env=identity, settings=plain)


def _lay_out_wheel(wheel: str, version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tao-hf-wheel-") as scratch:
        archive = _download(wheel, version, Path(scratch))
        try:
            with zipfile.ZipFile(archive) as unpacked:
                _unpack(unpacked, wheel, version, folder)
        except (zipfile.BadZipFile, configparser.Error, UnicodeDecodeError) as error:
            raise UserError(f"The wheel {archive.name} from PyPI is broken ({error}); try again later.") from error


def _unpack(archive: zipfile.ZipFile, wheel: str, version: str, folder: Path) -> None:
    """Unpack a wheel: packages to the top, licences too, and a ``setup.py`` with its console scripts."""
    packages: set[str] = set()
    scripts: list[str] = []
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if entry.is_dir():
            continue
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise UserError(f"The wheel of {wheel} {version} holds the unsafe path {entry.filename!r}; it is not used.")
        if path.parts[0].endswith((".dist-info", ".data")):
            if path.name == "entry_points.txt":
                scripts = _console_scripts(archive.read(entry).decode("utf-8"))
            if not path.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")):
                continue
            path = PurePosixPath(path.name)
        elif len(path.parts) > 1:
            packages.add(path.parts[0])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    listed = ", ".join(f"{name!r}, {name + '.*'!r}" for name in sorted(packages))
    rows = "".join(f"            {script!r},\n" for script in scripts)
    text = _SETUP.format(name=wheel, version=version, packages=listed, scripts=rows)
    (folder / "setup.py").write_text(text, encoding="utf-8")


def _console_scripts(entry_points: str) -> list[str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(entry_points)
    if not parser.has_section("console_scripts"):
        return []
    return [f"{name}={target}" for name, target in parser.items("console_scripts")]


def _download(wheel: str, version: str, scratch: Path) -> Path:
    """Download the wheel with pip into `scratch` and return its path."""
    options = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command = [*_pip(scratch), *options, "--dest", str(scratch), f"{wheel}=={version}"]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, cwd=scratch
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"Downloading {wheel} {version} from PyPI took over {_DOWNLOAD_SECONDS // 60} min.") from error
    found = sorted(scratch.glob("*.whl"))
    if done.returncode or not found:
        errors = [line.removeprefix("ERROR: ").strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0] if errors else (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise UserError(
            f"{wheel} {version} cannot be had from PyPI ({reason[:300]}); check the network and tao_version, "
            "or put your own clones into the working directory."
        )
    return found[0]


def _pip(scratch: Path) -> list[str]:
    """Return the command for pip: this interpreter's, or a fresh environment's where it has none (uv)."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], check=False, capture_output=True).returncode == 0:
        return own
    home = scratch / "pip"
    try:
        venv.create(home, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{sys.executable} has no pip, and an environment with one cannot be made; install pip and the "
            "venv module (python3-venv on Debian and Ubuntu)."
        ) from error
    return [str(home / ("Scripts" if os.name == "nt" else "bin") / "python"), "-m", "pip"]
