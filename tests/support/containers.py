"""What the tests of the containers share: the engine, the images, and the proof that nothing is left behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine as docker
from tao_hf.runtime import images
from tests.support import docker_images

TAG = "selftest"
_GONE_SECONDS = 15.0


@pytest.fixture(scope="session", autouse=True)
def image_tag() -> Iterator[str]:
    """Let every test use prepared images of its own, so that a developer's are never overwritten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAO_HF_IMAGE_TAG", TAG)
        yield TAG


@pytest.fixture(scope="session")
def engine(image_tag: str) -> None:
    """Skip where there is no Docker engine, or no way to images for it."""
    trouble = docker.problem() or docker_images.problem()
    if trouble:
        pytest.skip(trouble)


@pytest.fixture(scope="session")
def published(engine: None) -> dict[str, str]:
    """Return references of images that play NVIDIA's published ones, by component; they are made when missing."""
    try:
        docker_images.build()
    except UserError as error:
        pytest.fail(f"the test images cannot be made: {error}")
    return {component: image.name for component, image in docker_images.PUBLISHED.items()}


@pytest.fixture(scope="session")
def prepared(published: dict[str, str]) -> dict[str, str]:
    """Return the names of the images prepared from the published ones, by component, as phase 0 prepares them."""
    for component, reference in published.items():
        images.pull(reference)
        images.prepare(component, reference)
        images.verify(component)
    return {component: docker.prepared(component) for component in published}


@pytest.fixture
def fallback_image(published: dict[str, str]) -> Iterator[str]:
    """Give an image of our own the name of the fallback image for one test; skip where that one is there."""
    name = docker.FALLBACK_IMAGE
    if docker.has_image(name):
        form = f'{{{{index .Config.Labels "{docker_images.LABEL}"}}}}'
        if docker.run("image", "inspect", "--format", form, name).strip() != docker_images.FALLBACK.digest:
            pytest.skip(f"there is a {name} already; this test would take its place")
    subprocess.run(["docker", "tag", docker_images.FALLBACK.name, name], check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "image", "rm", name], check=True, capture_output=True)


@pytest.fixture
def no_leftovers(engine: None) -> Iterator[None]:
    """Check that the test leaves no container and no volume behind."""
    before = _held()
    yield
    end = time.monotonic() + _GONE_SECONDS
    while (left := _held() - before) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left, f"left behind: {', '.join(sorted(left))}"


def _held() -> set[str]:
    containers = docker.run("ps", "--all", "--format", "container {{.Names}} of {{.Image}}")
    listed = subprocess.run(["docker", "volume", "ls", "--quiet"], check=True, capture_output=True, text=True)
    return {*containers.splitlines(), *(f"volume {name}" for name in listed.stdout.split())}


def pytest_terminal_summary(terminalreporter) -> None:
    """Say it loudly when tests of the containers did not run."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "docker" in report.keywords and isinstance(report.longrepr, tuple)
    ]
    if not skipped:
        return
    terminalreporter.section("NOT TESTED: the containers", sep="!", red=True, bold=True)
    reasons = sorted({report.longrepr[2].removeprefix("Skipped: ") for report in skipped})
    terminalreporter.line(f"{len(skipped)} tests that need Docker were skipped.", red=True)
    for reason in reasons:
        terminalreporter.line(f"  {reason}", red=True)
