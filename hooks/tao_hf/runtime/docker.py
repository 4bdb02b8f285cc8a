"""The Docker runtime: the TAO containers, one per context, with the working directory at /workspace.

Three rules make the person's own tao-core win over the copies nested in the other clones: the whole working directory
is mounted; the top-level tao-core is installed first; it is first on PYTHONPATH. `check/origin.py` proves that it won.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.base.paths import TEMPLATE
from tao_hf.base.progress import activity
from tao_hf.runtime import engine, host, images, pass_through
from tao_hf.runtime.container import WORKSPACE, Container, ContainerSettings, inside
from tao_hf.runtime.interface import CONTEXTS, Completed, Runtime
from tao_hf.runtime.shims import CLONES, write_console_shims
from tao_hf.workdir import records

SHARED_MEMORY = "16G"
INSPECTION = "tao-hf-inspect"
# What the probe imports, for an image that has none of it.
PROBE_PACKAGES = (
    "torch", "torchvision", "transformers", "huggingface_hub", "timm", "onnx", "onnxruntime", "onnxscript", "pillow",
    "tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings",
)  # fmt: skip
TEST_TOOLS = {"pytorch": ("pytest", "pylint", "pydocstyle", "flake8"), "deploy": ("pytest", "pylint")}
_REQUIREMENTS = TEMPLATE / "standins" / "requirements.txt"
_PIP = ("python", "-m", "pip", "--disable-pip-version-check", "--no-input")
_MISSING = (
    "import importlib.util, sys\n"
    "print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))\n"
)
# Tells by their first file which modules of the image are the template's own stand-ins.
_STAND_INS = """
import importlib.util, json, pathlib, sys
names = []
for ours in pathlib.Path(sys.argv[1]).glob("*/__init__.py"):
    spec = importlib.util.find_spec(ours.parent.name)
    if spec and spec.origin and pathlib.Path(spec.origin).read_bytes() == ours.read_bytes():
        names.append(ours.parent.name)
print(json.dumps(sorted(names)))
"""
# Where setuptools builds tao-core: a `build` folder in the clone could bring files back that were deleted since.
_BUILD_CONFIG = "/tmp/tao-hf-build.cfg"  # noqa: S108 (inside the container)
_WRITE_BUILD_CONFIG = (
    f"printf '[build]\\nbuild_base=/tmp/tao-hf-build\\n[egg_info]\\negg_base=/tmp/tao-hf-egg\\n' > {_BUILD_CONFIG} "
    "&& mkdir -p /tmp/tao-hf-egg"
)


def create(root: Path | None = None) -> Runtime:
    """Return the Docker runtime for commands in `root`; no container is started before it is needed."""
    return DockerRuntime(root)


def available() -> bool:
    """Tell whether a Docker daemon answers and the TAO images are prepared on it."""
    return engine.problem() is None and all(engine.has_image(engine.prepared(name)) for name in CLONES)


_HAS_NVCC = "command -v nvcc || test -x /usr/local/cuda/bin/nvcc"
_LINK_SHIMS = """
echo 'no CUDA compiler in this image: the CUDA operations of the clone are not compiled, its commands run from source'
for shim in {folder}/*; do
    [ "${{shim##*/}}" = python ] || ln -sf "$shim" /usr/local/bin/
done
"""


class DockerRuntime(Runtime):
    """Runs commands in containers of the prepared TAO images.

    The containers of the contexts "pytorch" and "deploy" run as root, because they install the clones; what root writes
    in the working directory is handed back when they end. That of "inspect" runs as the calling user.
    """

    kind = "docker"

    def __init__(self, root: Path | None) -> None:
        """Remember the directory that will be /workspace."""
        self._root = Path(root).resolve() if root else None
        self._containers: dict[str, Container] = {}
        self._installed: set[Container] = set()
        self._readable: dict[Path, None] = {}

    @property
    def gpu(self) -> bool:
        """Tell whether containers get a GPU: the host has one, and the working directory was not set up without it."""
        return bool(host.gpus()) and records.uses_gpu(self._root)

    def prepare(self) -> None:
        """Check that the daemon answers; see `Runtime.prepare`."""
        engine.require()

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
        """Run one command in the container of `context`; see `Runtime.run`."""
        container = self._ready(context, on_line)
        return container.run(
            [str(word) for word in argv],
            variables=env,
            passed=(*pass_through.NETWORK, *(pass_through.HUB if context == "inspect" else ())),
            workdir=self.path(cwd) if cwd else None,
            log=log,
            on_line=on_line,
            timeout=timeout,
        )

    def shell(self, context: str, workdir: Path) -> int:
        """Open bash in a container of `context`; see `Runtime.shell`."""
        with activity(f"Getting a {context} container ready"):
            container = self._ready(context)
        interactive = ("--interactive", "--tty")
        argv = container.exec_argv(["bash"], {}, (*pass_through.NETWORK, *pass_through.HUB), options=interactive)
        return subprocess.run(argv, check=False).returncode

    def path(self, host_path: Path | str) -> str:
        """Return the path below /workspace, or below /host (mounted read-only) for what lies elsewhere."""
        path = Path(host_path).resolve()
        if not path.is_relative_to(self._root):
            self._readable[path if path.is_dir() else path.parent] = None
        return inside(path, self._root)

    def stand_ins(self, workdir: Path) -> list[str]:
        """Return which of the template's stand-ins are installed in the images."""
        ours = self.path(Path(workdir) / ".tao-hf" / "standins")
        found: set[str] = set()
        for context in CLONES:
            said = _output(self._container(context), ["python", "-c", _STAND_INS, ours])
            found.update(json.loads(said.splitlines()[-1]))
        return sorted(found)

    def close(self) -> None:
        """Stop the containers; what root wrote in the working directory is handed back."""
        while self._containers:
            self._containers.popitem()[1].close()

    def _settings(self, context: str) -> ContainerSettings:
        if context not in CONTEXTS:
            raise ValueError(f"unknown context {context!r}")
        if context == "inspect":
            return self._inspection_settings()
        repository = f"{WORKSPACE}/{CLONES[context]}"
        options = ["--shm-size", SHARED_MEMORY]
        if self.gpu and not any(option.startswith("--gpus") for option in pass_through.person_options()):
            options += ["--gpus", "all"]
        return ContainerSettings(
            name=f"tao-hf-{context}",
            image=engine.prepared(context),
            root=self._root,
            readable=tuple(self._readable),
            variables={
                "PYTHONPATH": f"{WORKSPACE}/tao-core:{repository}:{WORKSPACE}/.tao-hf/lib",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
                "PIP_ROOT_USER_ACTION": "ignore",
                "TELEMETRY_OPT_OUT": "yes",
                "TOKENIZERS_PARALLELISM": "false",
                "WANDB_MODE": "disabled",
            },
            options=tuple(options),
            workdir=repository,
        )

    def _inspection_settings(self) -> ContainerSettings:
        return ContainerSettings(
            name=INSPECTION,
            image=engine.prepared("pytorch") if engine.has_image(engine.prepared("pytorch")) else engine.FALLBACK_IMAGE,
            root=self._root,
            unique=False,
            user="0:0" if engine.rootless() else f"{os.getuid()}:{os.getgid()}",
            readable=tuple(self._readable),
            variables={
                "HOME": WORKSPACE,
                "USER": getpass.getuser(),
                "HF_HOME": f"{WORKSPACE}/cache",
                "PIP_USER": "1",
                "PIP_CACHE_DIR": f"{WORKSPACE}/cache/pip",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
            },
        )

    def _container(self, context: str) -> Container:
        """Return the running container of a context, a new one where there is none or it lacks a mount."""
        running = self._containers.get(context)
        if running and running.alive and set(self._readable) <= set(running.settings.readable):
            return running
        if running:
            self._containers.pop(context).close()
        settings = self._settings(context)
        if settings.image == engine.FALLBACK_IMAGE:
            images.pull(settings.image)
        elif not engine.has_image(settings.image):
            raise UserError(f"The image {settings.image} is not there; prepare it with ./tao-hf phase0.")
        started = self._containers[context] = Container(settings)
        return started

    def _ready(self, context: str, on_line: Callable[[str], None] | None = None) -> Container:
        """Return the container of a context with everything installed."""
        container = self._container(context)
        if container not in self._installed:
            try:
                for argv in self._installation(context, container):
                    _install(container, argv, on_line)
            except BaseException:
                self._containers.pop(context).close()
                raise
            self._installed.add(container)
        return container

    def _installation(self, context: str, container: Container) -> Iterator[Sequence[str]]:
        """Yield the commands that install what a context needs: the top-level tao-core before all else."""
        if context == "inspect":
            if container.settings.image == engine.FALLBACK_IMAGE:
                yield (*_PIP, "install", "--quiet", *_probe_requirements())
            return
        clone = CLONES[context]
        yield ("sh", "-c", _WRITE_BUILD_CONFIG)
        core = (*_PIP, "install", "--no-build-isolation", f"{WORKSPACE}/tao-core")
        yield ("env", f"DIST_EXTRA_CONFIG={_BUILD_CONFIG}", *core)
        if self._compiles_in_vain(clone, container):
            write_console_shims(self._root, context)
            yield ("sh", "-c", _LINK_SHIMS.format(folder=f"{WORKSPACE}/.tao-hf/bin/{context}"))
        else:
            yield (*_PIP, "install", "--no-build-isolation", "--no-deps", "--editable", f"{WORKSPACE}/{clone}")
        missing = _output(container, ["python", "-c", _MISSING, *TEST_TOOLS[context]]).split()
        if missing:
            yield (*_PIP, "install", *missing)

    def _compiles_in_vain(self, clone: str, container: Container) -> bool:
        """Tell whether a clone's setup.py wants to compile CUDA code and the image has no compiler for it."""
        setup = self._root / clone / "setup.py"
        if not setup.is_file() or "cpp_extension" not in setup.read_text(encoding="utf-8", errors="replace"):
            return False
        return container.run(["sh", "-c", _HAS_NVCC]).returncode != 0


def _install(container: Container, argv: Sequence[str], on_line: Callable[[str], None] | None) -> None:
    """Run one command of an installation; UserError when it fails."""
    shown = shlex.join(argv)
    if on_line:
        on_line(f"$ {shown}")
    done = container.run(argv, passed=pass_through.NETWORK, on_line=on_line)
    if done.returncode:
        lines = done.tail.strip().splitlines() or ["no output"]
        cause = next((line for line in lines if line.startswith("ERROR:") or "rror:" in line), lines[-1]).strip()
        image = container.settings.image
        raise UserError(f"The container {image} could not be set up: {cause} (while running {shown}).")


def _output(container: Container, argv: Sequence[str]) -> str:
    done = container.run(argv)
    if done.returncode:
        raise UserError(f"{argv[0]} does not work in {container.settings.image}: {done.tail.strip() or 'no output'}")
    return done.tail


def _probe_requirements() -> list[str]:
    """Return the requirements of PROBE_PACKAGES at the versions of the local runtime."""
    lines = _REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pinned = {re.split(r"[=<>~]", line)[0]: line for line in lines if line and not line.startswith("#")}
    return [pinned.get(name, name) for name in PROBE_PACKAGES]
