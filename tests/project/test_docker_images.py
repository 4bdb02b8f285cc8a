"""The images that play the published ones: what is in them, when they are made again, what making them leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine as docker
from tao_hf.runtime import images
from tests.support import docker_images
from tests.support.docker_images import HOME, PUBLISHED, Image
from tests.support.paths import in_runtime

KILLED = """
from tests.support import docker_images
from tests.support.docker_images import HOME, Image, PUBLISHED
docker_images.build([Image(f"{HOME}/killed", PUBLISHED["dataservices"].parent, "sleep 300")])
"""
FIND = "import importlib.util as u; print([n for n in ('torch', 'tensorrt', 'eff', 'timm') if u.find_spec(n)])"


def said(image: str, *command: str) -> str:
    return docker.run("run", "--rm", "--network", "none", image, *command)


def builders() -> set[str]:
    return set(docker.run("ps", "--all", "--filter", f"name={HOME}-", "--format", "{{.Names}}").split())


def test_digest_tells_what_an_image_is_made_of(tmp_path: Path) -> None:
    """Another script, file, configuration or parent is another image; another name or compiled code is not."""
    file = tmp_path / "file.py"
    file.write_text("a = 1\n")
    image = Image("one", None, "true", (tmp_path,))
    changed = [replace(image, script="false"), replace(image, config=()), replace(image, parent=image)]
    digests = {image.digest, *(other.digest for other in changed)}
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "file.pyc").write_text("compiled")
    assert replace(image, name="two").digest == image.digest
    file.write_text("a = 2\n")
    digests.add(replace(image).digest)
    assert len(digests) == 5


def test_deploy_requirements_are_those_without_torch() -> None:
    """Each name that is left out is one of the requirements."""
    with_torch = docker_images.requirements()
    without = docker_images.requirements(docker_images.NEEDS_TORCH)
    assert len(with_torch) - len(without) == len(docker_images.NEEDS_TORCH)
    assert not [line for line in without if "torch" in line or line.startswith("#")]


@pytest.mark.docker
def test_published_images_hold_the_released_packages(published: dict[str, str]) -> None:
    """Preparation has something to remove in each."""
    released = {component: images.released_packages(image) for component, image in published.items()}
    assert released == {
        "pytorch": ["nvidia-tao-core 7.0.1", "nvidia_tao_pytorch 7.0.1"],
        "deploy": ["nvidia-tao-core 7.0.1", "nvidia-tao-deploy 7.0.1"],
        "dataservices": ["nvidia-tao-core 7.0.1", "nvidia_tao_ds 7.0.1"],
    }


@pytest.mark.docker
def test_prepared_images_hold_none(prepared: dict[str, str]) -> None:
    """The packages went, and so did their console scripts."""
    assert [images.released_packages(image) for image in prepared.values()] == [[], [], []]
    for component, command in (("pytorch", "classification_pyt"), ("deploy", "dino")):
        look = ("sh", "-c", f"command -v {command} || echo none")
        assert said(PUBLISHED[component].name, *look).endswith(f"/usr/local/bin/{command}\n")
        assert said(prepared[component], *look).endswith("none\n")


@pytest.mark.docker
def test_what_the_images_can_do(published: dict[str, str]) -> None:
    """PyTorch, a banner and no TensorRT in one; TensorRT and no PyTorch in the other; no TAO in python-slim."""
    use = "import torch, transformers, pytorch_lightning, eff, cv2; print(torch.ones(2) @ torch.ones(2))"
    assert said(published["pytorch"], "python", "-c", FIND).splitlines()[-1] == "['torch', 'eff', 'timm']"
    assert "== TAO Toolkit PyTorch ==" in said(published["pytorch"], "true")
    assert "tensor(2.)" in said(published["pytorch"], "python", "-c", use)
    use = "import tensorrt, pycuda.driver, onnxruntime, nvidia_tao_deploy, cv2"
    assert said(published["deploy"], "python", "-c", FIND) == "['tensorrt', 'eff']\n"
    assert said(published["deploy"], "python", "-c", use) == ""
    assert said(published["dataservices"], "python", "-c", FIND) == "[]\n"
    assert said(docker_images.FALLBACK.name, "python", "-c", FIND) == "['torch']\n"
    assert images.released_packages(docker_images.FALLBACK.name) == []


@pytest.mark.docker
def test_images_remember_nothing_of_this_machine(published: dict[str, str]) -> None:
    """Proxies, certificates and package indexes reach the installation, not the image."""
    for image in (*published.values(), docker_images.FALLBACK.name):
        variables = docker.run("image", "inspect", "--format", "{{json .Config.Env}}", image)
        assert variables == f'["PATH={docker_images.PATH}"]\n'


@pytest.fixture
def tiny(published: dict[str, str]) -> Iterator[Image]:
    """Return an image that is made in a second; not made yet."""
    image = Image(f"{HOME}/tiny", PUBLISHED["dataservices"].parent, "echo one > /made")
    yield image
    subprocess.run(["docker", "image", "rm", "-f", image.name], capture_output=True, check=False)


@pytest.mark.docker
def test_image_is_made_again_when_stale(tiny: Image, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is up to date stays; one that is not is replaced and removed."""
    docker_images.build([tiny])
    first = docker.run("image", "inspect", "--format", "{{.Id}}", tiny.name).strip()
    capsys.readouterr()
    docker_images.build([tiny])
    assert capsys.readouterr().err == ""
    docker_images.build([replace(tiny, script="echo two > /made")])
    assert said(tiny.name, "cat", "/made") == "two\n"
    assert not docker.has_image(first)
    assert not builders()


@pytest.mark.docker
def test_failure_is_told(tiny: Image) -> None:
    """The end of the output is shown and no container stays; a download that fails once is tried again."""
    with pytest.raises(UserError, match="tiny could not be made:\nno such thing"):
        docker_images.build([replace(tiny, script="echo no such thing; exit 3")])
    assert not docker.has_image(tiny.name)
    docker_images.build([replace(tiny, script="retry sh -c 'echo x >> /tries; test $(wc -l < /tries) = 2'")])
    assert said(tiny.name, "cat", "/tries") == "x\nx\n"
    assert not builders()


@pytest.mark.docker
def test_killed_builder_leaves_no_container(published: dict[str, str]) -> None:
    """The container ends with the process that started it."""
    env = {**os.environ, **in_runtime()}
    builder = subprocess.Popen([sys.executable, "-c", KILLED], stderr=subprocess.DEVNULL, env=env)
    end = time.monotonic() + 30
    while not builders():
        assert builder.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    while builders():
        assert time.monotonic() < end, "the container is still there"
        time.sleep(0.1)
