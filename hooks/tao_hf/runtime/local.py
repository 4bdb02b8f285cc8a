"""The local runtime: a virtual environment in the cache, outside the host's site-packages.

`TAO_HF_PYTHON` names an existing interpreter to use instead of building one; it must have what
`standins/requirements.txt` lists. `TAO_HF_VERSIONS` names other versions of some packages, those of
`standins/requirements-<name>.txt`: an environment of its own, over the packages of the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tao_hf.base import lock
from tao_hf.base.cache import cache_dir
from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import Activity, activity
from tao_hf.runtime import host
from tao_hf.runtime.interface import CONTEXTS, Completed, Runtime
from tao_hf.runtime.process import stream
from tao_hf.runtime.shims import CLONES, write_console_shims

_COMPLETE = ".complete"
_DROPPED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONSAFEPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTEST_ADDOPTS",
)
_FIND = (
    "import importlib.util, json, sys\n"
    "print(json.dumps([n for n in sys.argv[1:] if importlib.util.find_spec(n) is None]))\n"
)


def create(root: Path | None = None) -> Runtime:
    """Return the local runtime (nothing is built before `prepare`)."""
    return LocalRuntime()


def available() -> bool:
    """Tell that `auto` may fall back to this runtime: always."""
    return True


def chosen() -> str:
    """Return the interpreter or the versions that the environment names: what one finds is not true of another."""
    return os.environ.get("TAO_HF_PYTHON") or os.environ.get("TAO_HF_VERSIONS") or ""


class LocalRuntime(Runtime):
    """Runs commands with an interpreter of its own on this machine."""

    kind = "local"

    def __init__(self) -> None:
        """Start unprepared."""
        self._python: Path | None = None
        self._missing: dict[tuple[str, ...], list[str]] = {}

    @property
    def python(self) -> Path:
        """The runtime's interpreter; building the environment first when there is none."""
        self.prepare()
        return self._python

    def prepare(self) -> None:
        """Find `TAO_HF_PYTHON` or make the environment; see `Runtime.prepare`."""
        if self._python:
            return
        named = os.environ.get("TAO_HF_PYTHON")
        if not named:
            versions = _versions()
            python = _build(_requirements())
            self._python = _build(versions, over=python) if versions else python
            return
        python = Path(named).expanduser().absolute()  # not resolved: a venv's interpreter is a link
        if not os.access(python, os.X_OK) or python.is_dir():
            raise UserError(f"TAO_HF_PYTHON names {python}, which is not a program; correct it or unset it.")
        self._python = python

    def run(
        self,
        argv: Sequence[str],
        *,
        context: str,
        workdir: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run one command; see `Runtime.run`."""
        variables = self._environment(context, Path(workdir).resolve() if workdir else None)
        variables.update(env or {})
        command = [str(word) for word in argv]
        if command[0] == "python":
            command[0] = str(self.python)
        else:
            found = shutil.which(command[0], path=variables["PATH"])
            if not found:
                raise UserError(f"There is no command {command[0]} in the {context} context of {workdir}.")
            command[0] = found
        return stream(command, env=variables, cwd=cwd or workdir, log=log, on_line=on_line, timeout=timeout)

    @property
    def gpu(self) -> bool:
        """Tell whether the driver of this machine reports a GPU."""
        return bool(host.gpus())

    def shell(self, context: str, workdir: Path) -> int:
        """Open the person's shell with the runtime's paths; see `Runtime.shell`."""
        variables = self._environment(context, Path(workdir).resolve())
        folder = Path(workdir) / CLONES[context]
        return subprocess.run([os.environ.get("SHELL") or "sh"], env=variables, cwd=folder, check=False).returncode

    def path(self, host_path: Path | str) -> str:
        """Return the path itself: inside and outside are one machine."""
        return str(host_path)

    def stand_ins(self, workdir: Path) -> list[str]:
        """Return the stand-in modules in use; see `Runtime.stand_ins`."""
        return self._lacking(Path(workdir) / ".tao-hf" / "standins")

    def close(self) -> None:
        """Nothing is held."""

    def _environment(self, context: str, workdir: Path | None) -> dict[str, str]:
        if context not in CONTEXTS:
            raise ValueError(f"unknown context {context!r}")
        python = self.python
        variables = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        programs, packages = [str(python.parent)], []
        if workdir and context in CLONES:
            bin_dir = write_console_shims(workdir, context)
            _ensure_python_on_path(bin_dir, python)
            programs.insert(0, str(bin_dir))
            packages = [str(workdir / "tao-core"), str(workdir / CLONES[context])]
            if context == "deploy":  # tao-deploy has no PyTorch in its image: code that needs it must fail here too
                packages.insert(0, str(workdir / ".tao-hf" / "hide_in_deploy"))
            used = self._stand_in_path(workdir)
            if used:
                packages.append(str(used))
            packages.append(str(workdir / ".tao-hf" / "lib"))
        if packages:
            variables["PYTHONPATH"] = os.pathsep.join(packages)
        variables["PATH"] = os.pathsep.join([*programs, variables.get("PATH", os.defpath)])
        variables.update(
            PYTHONNOUSERSITE="1",
            PYTHONUNBUFFERED="1",
            PYTHONDONTWRITEBYTECODE="1",
            TELEMETRY_OPT_OUT="yes",
            TOKENIZERS_PARALLELISM="false",
            WANDB_MODE="disabled",
        )
        # Half of what the system counts are cores, the others their second threads; one more thread than there are
        # cores free, and all of them wait for it after every operation.
        variables.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
        return variables

    def _stand_in_path(self, workdir: Path) -> Path | None:
        """Link the stand-ins in use into one directory for PYTHONPATH, so that the real ones are never hidden."""
        source = workdir / ".tao-hf" / "standins"
        names = self._lacking(source)
        linked = workdir / ".tao-hf" / "standins-in-use"
        if not names:
            shutil.rmtree(linked, ignore_errors=True)
            return None
        linked.mkdir(exist_ok=True)
        wanted = {}
        for name in names:
            wanted[name if (source / name).is_dir() else f"{name}.py"] = True
        for old in linked.iterdir():
            if old.name not in wanted:
                old.unlink()
        for name in wanted:
            link = linked / name
            target = Path("..") / "standins" / name
            with contextlib.suppress(FileExistsError):
                link.symlink_to(target)
        return linked

    def _lacking(self, source: Path) -> list[str]:
        """Return which of the modules in `source` the interpreter does not have itself."""
        if not source.is_dir():
            return []
        names = sorted(
            item.stem
            for item in source.iterdir()
            if (item / "__init__.py").is_file() or (item.suffix == ".py" and item.is_file())
        )
        key = tuple(names)
        if names and key not in self._missing:
            self._missing[key] = json.loads(_ask(self.python, _FIND, names))
        return list(self._missing.get(key, []))


def _ask(python: Path, code: str, args: Sequence[str]) -> str:
    variables = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    # -I: neither the current directory nor PYTHONPATH may pass for an installed package.
    done = subprocess.run(
        [str(python), "-I", "-c", code, *args], env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(f"The interpreter {python} does not work ({last}); correct TAO_HF_PYTHON or clear the cache.")
    return done.stdout


def _ensure_python_on_path(bin_dir: Path, python: Path) -> None:
    """Give the shims a `python` when the interpreter's own directory has none under that name (or another one)."""
    beside = python.parent / "python"
    wrapper = bin_dir / "python"
    if beside.exists() and (python.name == "python" or os.path.samefile(beside, python)):
        wrapper.unlink(missing_ok=True)
        return
    quoted = str(python).replace("'", "'\\''")
    text = f"#!/bin/sh\nexec '{quoted}' \"$@\"\n"
    if not wrapper.is_file() or wrapper.read_text(encoding="utf-8") != text:
        wrapper.write_text(text, encoding="utf-8")
        wrapper.chmod(0o755)


def _requirements() -> Path:
    """Return requirements.txt of the template, or the copy in a working directory."""
    file = TEMPLATE / "standins" / "requirements.txt"
    if not file.is_file():
        raise UserError(f"{file} is missing, so the local runtime cannot be built; restore it.")
    return file


def _versions() -> Path | None:
    """Return the requirements that `TAO_HF_VERSIONS` names; None where it names none."""
    name = os.environ.get("TAO_HF_VERSIONS")
    if not name:
        return None
    files = {
        file.stem.removeprefix("requirements-"): file for file in (TEMPLATE / "standins").glob("requirements-*.txt")
    }
    if name not in files:
        raise UserError(f"TAO_HF_VERSIONS is {name!r}; choose {' or '.join(sorted(files))}, or unset it.")
    return files[name]


def runtime_dir(requirements: Path, over: Path | None = None) -> Path:
    """Return the cache directory of the environment for that requirements file and this Python.

    Args:
        requirements: what is installed.
        over: interpreter of the environment whose packages are used for the rest.
    """
    facts = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]} {sys.platform}\n"
    facts += f"{over.parents[1].name}\n" if over else ""
    digest = hashlib.sha256(facts.encode() + requirements.read_bytes()).hexdigest()[:16]
    return cache_dir("runtimes") / digest


def _build(requirements: Path, over: Path | None = None) -> Path:
    """Return the interpreter of the environment for `requirements`, making the environment when there is none.

    Over another environment, its packages are on the path behind the new one's: pip takes them as they are, and what
    `requirements` want in other versions comes first.

    A virtual environment cannot be moved, so it is made in its final place and counts only once the marker file is
    there; a lock keeps two processes from building at once.
    """
    home = runtime_dir(requirements, over)
    python = home / "bin" / "python"
    if (home / _COMPLETE).is_file():
        return python
    with _locked(home.with_suffix(".lock")):
        if (home / _COMPLETE).is_file():
            return python
        shutil.rmtree(home, ignore_errors=True)
        doing = f"adding the versions of {requirements.stem.removeprefix('requirements-')} to the local runtime"
        with activity(doing if over else "making the local runtime (once; several GB are downloaded)") as shown:
            try:
                _make_venv(home)
                if over:
                    (_packages(python) / "local_runtime.pth").write_text(f"{_packages(over)}\n", encoding="utf-8")
                _install(python, requirements, shown)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise
            (home / _COMPLETE).write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"), encoding="utf-8")
    return python


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        handle = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; set TAO_HF_CACHE elsewhere.") from error
    with handle:
        lock.wait_for(handle, "waiting for another process that is making the local runtime")
        yield


def _make_venv(home: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-m", "venv", str(home)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        if "ensurepip" in said:
            raise UserError(
                "This Python cannot make virtual environments (ensurepip is missing); install it "
                "(Debian, Ubuntu: apt install python3-venv) or set TAO_HF_PYTHON."
            )
        raise UserError(f"The local runtime cannot be made in {home}: {(said.splitlines() or ['no reason'])[-1]}")


def _packages(python: Path) -> Path:
    """Return the folder of the packages of an environment."""
    return Path(_ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))", []).strip())


def _install(python: Path, requirements: Path, shown: Activity) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    problems: list[str] = []

    def watch(line: str) -> None:
        shown.detail(line)
        if line.startswith("ERROR:") or "Errno" in line:
            problems.append(line)

    done = stream(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
            "-r",
            str(requirements),
        ],
        env=variables,
        on_line=watch,
        log=python.parents[1].with_suffix(".log"),
    )
    if not done.returncode:
        return
    said = problems[-1] if problems else (done.tail.strip().splitlines() or ["no reason"])[-1]
    said = " ".join(said.removeprefix("ERROR:").split())
    unreachable = any(
        word in done.tail
        for word in (
            "NewConnectionError",
            "NameResolution",
            "Connection refused",
            "Temporary failure",
            "Network is unreachable",
            "ProxyError",
        )
    )
    if unreachable:
        raise UserError(
            f"pip could not reach the package index, so the local runtime was not made ({said}); connect, or set "
            "PIP_INDEX_URL to a mirror, or TAO_HF_PYTHON to an interpreter that has the packages."
        )
    raise UserError(f"pip could not make the local runtime: {said}; free space or correct it, then run again.")
