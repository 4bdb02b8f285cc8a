"""Images that play NVIDIA's published ones and python:3.12-slim, made without any image registry.

    make docker-images

Debian by debootstrap, packages from PyPI, the stand-ins of this repository for what only NVIDIA ships. An image carries
a digest of what it is made of: one that is up to date stays, and those that share a layer have it once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tao_hf.base.cache import cache_dir
from tao_hf.base.errors import UserError
from tao_hf.base.progress import Activity, activity
from tao_hf.runtime import engine, pass_through
from tao_hf.runtime.process import stream
from tests.support.paths import STANDINS

LABEL = f"{engine.LABEL}.selftest"
HOME = "tao-hf-selftest"
TAO = "7.0.1"
NEEDS_TORCH = frozenset(
    ("torch", "torchvision", "pytorch-lightning", "timm", "torchmetrics", "fvcore", "open_clip_torch")
)
_DEBIAN = "bookworm"
_PACKAGES = ("ca-certificates", "git", "python3", "python3-pip")
_INSTALL = "python -m pip install --quiet --root-user-action=ignore"
_SITE = "$(python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')"
_FILES = "/tmp/files"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BANNER = """\
#!/bin/sh
# NVIDIA's images greet before they run the command.
echo
echo "== TAO Toolkit PyTorch =="
echo "   a stand-in of tao-hf-template's tests; nothing in it is NVIDIA's image"
echo
exec "$@"
"""
_DATA_SERVICES = f"""\
import setuptools

setuptools.setup(name="nvidia_tao_ds", version="{TAO}", packages=["nvidia_tao_ds"])
"""


@dataclass(frozen=True)
class Image:
    """One image: what it starts from and what makes it.

    Attributes:
        name: its reference.
        parent: the image it is made from; None for Debian itself.
        script: shell commands that make it, run as root; a download that fails is tried once more.
        files: folders and files of this repository that the script finds in /tmp/files.
        config: `docker commit --change` instructions.
    """

    name: str
    parent: Image | None
    script: str
    files: tuple[Path, ...] = ()
    config: tuple[str, ...] = ("CMD bash",)

    @cached_property
    def digest(self) -> str:
        """Digest of everything it is made of, its parent included."""
        found = hashlib.sha256(repr((self.parent and self.parent.digest, self.script, self.config)).encode())
        for top in self.files:
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts and not path.match("*.egg-info/*"):
                    found.update(f"\0{path.relative_to(top.parent).as_posix()}\0".encode() + path.read_bytes())
        return found.hexdigest()[:16]


def requirements(without: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of standins/requirements.txt but those of the named packages."""
    lines = (STANDINS / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [line for line in wanted if re.match(r"[\w.-]+", line)[0] not in without]


def _fetch(*words: str) -> str:
    return f"retry {_INSTALL} {shlex.join(words)}"


def _stand_ins(*names: str) -> str:
    return f"cp -r {' '.join(f'{_FILES}/{name}' for name in names)} {_SITE}"


def _write(path: str, text: str) -> str:
    return f"mkdir -p {Path(path).parent} && printf %s {shlex.quote(text)} > {path}"


_DEBIAN_BASE = Image(
    f"{HOME}/debian",
    None,
    "\n".join((
        "ln -s python3 usr/bin/python",
        "rm -rf usr/lib/python3*/EXTERNALLY-MANAGED var/cache/apt/* var/lib/apt/lists/* var/log/*",
        "rm -rf usr/share/doc/* usr/share/man/* usr/share/locale/*",
        f"# {_DEBIAN} {' '.join(_PACKAGES)}",
    )),
    config=("CMD bash", f"ENV PATH={PATH}", "WORKDIR /workspace"),
)
_PYTHON = Image(f"{HOME}/python", _DEBIAN_BASE, _fetch("--upgrade", "pip", "setuptools<81", "wheel"))
_WITHOUT_TORCH = Image(f"{HOME}/packages", _PYTHON, _fetch(*requirements(NEEDS_TORCH)))
_WITH_TORCH = Image(f"{HOME}/torch", _WITHOUT_TORCH, _fetch(*requirements()))
PUBLISHED = {
    "pytorch": Image(
        f"{HOME}/tao-toolkit:{TAO}-pyt",
        _WITH_TORCH,
        "\n".join((
            _stand_ins("eff", "eff_tao_encryption"),
            _fetch("--no-deps", f"nvidia-tao-core=={TAO}"),
            f"{_INSTALL} --no-deps --no-index --no-build-isolation {_FILES}/tao_pytorch",
            _write("/opt/nvidia/nvidia_entrypoint.sh", _BANNER),
            "chmod 755 /opt/nvidia/nvidia_entrypoint.sh",
        )),
        (STANDINS / "modules" / "eff", STANDINS / "modules" / "eff_tao_encryption", STANDINS / "tao_pytorch"),
        ('ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh"]', "CMD bash"),
    ),
    "deploy": Image(
        f"{HOME}/tao-toolkit:{TAO}-deploy",
        _WITHOUT_TORCH,
        "\n".join((
            "if python -c 'import torch' 2> /dev/null; then echo 'torch came with another package'; exit 1; fi",
            _stand_ins("eff", "eff_tao_encryption", "pycuda", "tensorrt"),
            _fetch("--no-deps", f"nvidia-tao-core=={TAO}", f"nvidia-tao-deploy=={TAO}"),
        )),
        tuple(STANDINS / "modules" / name for name in ("eff", "eff_tao_encryption", "pycuda", "tensorrt")),
    ),
    "dataservices": Image(
        f"{HOME}/tao-toolkit:{TAO}-data-services",
        _PYTHON,
        "\n".join((
            _write(f"{_FILES}/ds/setup.py", _DATA_SERVICES),
            _write(f"{_FILES}/ds/nvidia_tao_ds/__init__.py", ""),
            f"{_INSTALL} --no-deps --no-index --no-build-isolation {_FILES}/ds",
            _fetch("--no-deps", f"nvidia-tao-core=={TAO}"),
        )),
    ),
}
# Without timm, so that there is something to install into the person's folder, and without download of the rest.
FALLBACK = Image(
    f"{HOME}/python-slim",
    _WITH_TORCH,
    "python -m pip uninstall --quiet --yes --root-user-action=ignore timm",
    config=("CMD python3",),
)
ALL = (*PUBLISHED.values(), FALLBACK)


def current(image: Image) -> bool:
    """Tell whether an image is there and made of what it would be made of now."""
    form = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    try:
        return engine.run("image", "inspect", "--format", form, image.name).strip() == image.digest
    except engine.EngineError:
        return False


def problem() -> str | None:
    """Return one sentence saying why the images are neither there nor can be made, None when they can be had."""
    if all(current(image) for image in ALL) or current(_DEBIAN_BASE):
        return None
    if os.getuid():
        return "debootstrap must run as root; make the test images with: sudo make docker-images"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed (Debian, Ubuntu: apt install debootstrap)"
    return None


def build(images: Sequence[Image] = ALL) -> None:
    """Make the images that are missing or stale, showing progress.

    Raises:
        UserError: an image cannot be made.
    """
    with _one_at_a_time():
        for image in images:
            _ensure(image)


def _ensure(image: Image) -> None:
    if current(image):
        return
    if image.parent:
        _ensure(image.parent)
    replaced = engine.run("image", "inspect", "--format", "{{.Id}}", image.name) if engine.has_image(image.name) else ""
    with activity(f"making {image.name}") as shown:
        if image.parent:
            _commit(image, shown)
        else:
            _import_debian(image, shown)
    if replaced:
        # It stays as long as an image is made from it, and goes with the last of these.
        subprocess.run(["docker", "image", "rm", replaced.strip()], capture_output=True, check=False)


def _commit(image: Image, shown: Activity) -> None:
    with _container(image.parent) as name:
        _docker("exec", name, "mkdir", "-p", _FILES)
        for path in image.files:
            _docker("cp", str(path), f"{name}:{_FILES}/{path.name}")
        script = f"set -e\nretry() {{ \"$@\" || {{ sleep 10; \"$@\"; }}; }}\n{image.script}\nrm -rf {_FILES}"
        variables = [word for variable in pass_through.NETWORK if os.environ.get(variable) for word in ("-e", variable)]
        done = stream(
            ["docker", "exec", *variables, "-e", "PIP_CACHE_DIR=/mnt", "-w", "/", name, "sh", "-c", script],
            env=os.environ,
            on_line=shown.detail,
        )
        if done.returncode:
            raise UserError(f"{image.name} could not be made:\n{done.tail}")
        shown.detail("saving it")
        _docker("commit", *_config(image), name, image.name)


@contextlib.contextmanager
def _container(image: Image) -> Iterator[str]:
    """Run a container that ends with this process, whatever ends it, and goes away with it."""
    name = f"{HOME}-{secrets.token_hex(4)}"
    mounts = ["-v", f"{cache_dir('pip')}:/mnt"]
    for path in pass_through.certificates():
        mounts += ["-v", f"{path}:{path}:ro"]
    command = ["docker", "run", "--rm", "-i", "--pull", "never", "--name", name, *mounts, image.name]
    keeper = subprocess.Popen(
        [*command, "sh", "-c", "echo; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        if not keeper.stdout.readline():
            raise UserError(f"no container of {image.name}: {keeper.stderr.read().decode(errors='replace').strip()}")
        yield name
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)
        keeper.communicate()


def _import_debian(image: Image, shown: Activity) -> None:
    trouble = problem()
    if trouble:
        raise UserError(f"{image.name} cannot be made: {trouble}.")
    with tempfile.TemporaryDirectory(prefix=f"{HOME}-") as folder:
        # In a mount namespace of its own, so that its /proc goes with it even when it is killed.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
        done = stream([*command, _DEBIAN, folder], env=os.environ, on_line=shown.detail)
        if done.returncode:
            raise UserError(f"debootstrap failed:\n{done.tail}")
        subprocess.run(["sh", "-ec", image.script], cwd=folder, check=True)
        tar = subprocess.Popen(["tar", "-C", folder, "--numeric-owner", "-c", "."], stdout=subprocess.PIPE)
        try:
            _docker("import", *_config(image), "-", image.name, stdin=tar.stdout)
        finally:
            tar.stdout.close()
            failed = tar.wait()
        if failed:
            raise UserError("the files of Debian could not be read")


def _config(image: Image) -> list[str]:
    changes = (*image.config, f"LABEL {LABEL}={image.digest}")
    return [word for change in changes for word in ("--change", change)]


def _docker(*words: str, stdin=subprocess.DEVNULL) -> None:
    done = subprocess.run(["docker", *words], stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"docker {words[0]} failed: {done.stderr.strip()}")


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (cache_dir("pip") / ".images.lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove() -> None:
    """Remove every test image, and what was prepared from one."""
    ours = ("--filter", f"label={LABEL}")
    listed = engine.run("image", "ls", *ours, "--format", "{{.Repository}}:{{.Tag}}").split()
    names = [name for name in listed if "<none>" not in name]
    if names:
        _docker("image", "rm", *names)
    _docker("image", "prune", "--force", *ours)


def main() -> int:
    """Make all images and print their sizes, or remove them."""
    parser = argparse.ArgumentParser(description="Make the images that the tests of the containers use.")
    parser.add_argument("--remove", action="store_true", help="remove them instead")
    try:
        engine.require()
        if parser.parse_args().remove:
            remove()
            return 0
        build()
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for image in ALL:
        size = int(engine.run("image", "inspect", "--format", "{{.Size}}", image.name))
        print(f"{image.name:<48}{size / 1e9:6.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
