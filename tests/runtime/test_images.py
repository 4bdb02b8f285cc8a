"""Published images become prepared ones that hold no released TAO package; on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
import yaml

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine as docker
from tao_hf.runtime import host_check, images
from tests.support.copies import MODEL, copier_copy
from tests.support.paths import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]
TAG = "selftest-phase0"
VARIANT = "tao-hf-selftest/phase0:variant"
ENTER = "\r"
# A distribution as pip would leave it, for images that are put together in odd ways.
DIST = """
RUN for site in {sites}; do \\
    dist=$site/nvidia_tao_core-7.0.1.dist-info; mkdir -p $dist $site/nvidia_tao_core; \\
    touch $site/nvidia_tao_core/__init__.py; \\
    printf 'Metadata-Version: 2.1\\nName: nvidia-tao-core\\nVersion: 7.0.1\\n' > $dist/METADATA; \\
    printf 'pip\\n' > $dist/INSTALLER; \\
    printf '%s\\n' nvidia_tao_core/__init__.py,, nvidia_tao_core-7.0.1.dist-info/METADATA,, \\
        nvidia_tao_core-7.0.1.dist-info/INSTALLER,, nvidia_tao_core-7.0.1.dist-info/RECORD,, > $dist/RECORD; \\
done
"""
USER_SITE = "/root/.local/lib/python3.11/site-packages"


@pytest.fixture(autouse=True)
def own_tag(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test prepare images of its own, and remove them."""
    monkeypatch.setenv("TAO_HF_IMAGE_TAG", TAG)
    for variable in host_check.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    yield
    for name in (*map(docker.prepared, docker.COMPONENTS), VARIANT):
        if docker.has_image(name):
            remove(name)


def remove(name: str) -> None:
    """Remove an image, which the package itself never does."""
    subprocess.run(["docker", "image", "rm", name], check=True, capture_output=True)


@pytest.fixture
def variant(published: dict[str, str]) -> Callable[[str], str]:
    """Return a function that makes another image of the published tao-deploy one and returns its name."""

    def make(lines: str) -> str:
        dockerfile = f"FROM {published['deploy']}\n{lines}\n"
        docker.run("build", "--network", "none", "--tag", VARIANT, "-", text=dockerfile)
        return VARIANT

    return make


def identity(component: str) -> str:
    """Return the id of a prepared image."""
    return docker.run("image", "inspect", "--format", "{{.Id}}", docker.prepared(component))


def packages(image: str) -> set[str]:
    """Return the names of all Python packages in an image."""
    listing = ("-m", "pip", "list", "--format=json")
    printed = docker.run("run", "--rm", "--network", "none", "--entrypoint", "python", image, *listing)
    return {entry["name"] for entry in json.loads(printed.strip().splitlines()[-1])}


def test_preparing_takes_the_released_packages_and_nothing_else(published: dict[str, str]) -> None:
    for component, reference in published.items():
        released = images.released_packages(reference)
        assert any(line.lower().replace("_", "-").startswith("nvidia-tao-core ") for line in released), released
        assert images.prepare(component, reference)
        images.verify(component)
        assert images.released_packages(docker.prepared(component)) == []
        gone = packages(reference) - packages(docker.prepared(component))
        assert gone == {line.split()[0] for line in released}
        assert images.source(component) == reference


def test_phase0(published: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """As a person without a GPU runs it twice: the second time nothing is made again."""
    first, second = [], []
    for seconds in (first, second):
        started = time.monotonic()
        result = host_check.run(published, without_gpu=True)
        seconds += [time.monotonic() - started, identity("pytorch"), identity("deploy")]
        assert result["kind"] == "docker" and result["images"] == published and not result["fallback"]
    assert first[1:] == second[1:]
    with capsys.disabled():
        print(f"\n  phase 0: {first[0]:.1f} s, {second[0]:.1f} s when everything is prepared")
    shown = capsys.readouterr().err
    assert shown.count("Preparing tao-pytorch-base") == 2, "said once when it begins and once when it ends"
    assert docker.run("ps", "--all", "--quiet", "--filter", f"ancestor={docker.prepared('pytorch')}").strip() == ""


def test_package_that_pip_cannot_remove(variant: Callable[[str], str]) -> None:
    """It came without pip, into a folder on PYTHONPATH: listed, but nobody knows its files."""
    reference = variant(DIST.format(sites="/opt/extra") + "RUN rm /opt/extra/*/RECORD\nENV PYTHONPATH=/opt/extra")
    images.prepare("deploy", reference)
    with pytest.raises(UserError, match=r"still holds nvidia-tao-core 7\.0\.1"):
        images.verify("deploy")
    with pytest.raises(UserError, match=r"still holds nvidia-tao-core 7\.0\.1"):
        host_check.run({"pytorch": reference, "deploy": reference}, without_gpu=True)


def test_package_installed_several_times(variant: Callable[[str], str]) -> None:
    images.prepare("deploy", variant(DIST.format(sites=f"{USER_SITE} /opt/extra") + "ENV PYTHONPATH=/opt/extra"))
    images.verify("deploy")
    found = "import importlib.util, sys; sys.exit(importlib.util.find_spec('nvidia_tao_core') is not None)"
    docker.run("run", "--rm", "--network", "none", "--entrypoint", "python", docker.prepared("deploy"), "-c", found)


def test_image_with_a_user_a_banner_and_a_managed_python(variant: Callable[[str], str]) -> None:
    reference = variant(
        "RUN touch /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
        "WORKDIR /srv\nUSER nobody\n"
        'ENTRYPOINT ["sh", "-c", "echo [welcome]; exec \\"$@\\"", "--"]'
    )
    assert images.released_packages(reference)
    images.prepare("deploy", reference)
    images.verify("deploy")
    asked = "{{.Config.User}} {{.Config.WorkingDir}}"
    assert docker.run("image", "inspect", "--format", asked, docker.prepared("deploy")).split() == ["root", "/srv"]


@pytest.mark.usefixtures("no_leftovers")
def test_image_without_python(variant: Callable[[str], str]) -> None:
    reference = variant("ENV PATH=/nowhere")
    with pytest.raises(UserError, match="cannot be asked for its packages"):
        images.released_packages(reference)
    with pytest.raises(UserError, match="needs Python with pip"):
        images.prepare("deploy", reference)
    assert not docker.has_image(docker.prepared("deploy"))


def test_a_tag_that_names_another_image_now(variant: Callable[[str], str]) -> None:
    assert images.prepare("deploy", variant("ENV RELEASE=1"))
    before = identity("deploy")
    assert not images.prepare("deploy", VARIANT)
    assert images.prepare("deploy", variant("ENV RELEASE=2"))
    assert identity("deploy") != before
    remove(VARIANT)
    assert not images.prepare("deploy", VARIANT), "the published image may be removed to save space"


def test_the_published_image_may_have_the_prepared_name(published: dict[str, str]) -> None:
    own = docker.prepared("deploy")
    docker.run("build", "--tag", own, "-", text=f"FROM {published['deploy']}\n")
    assert images.prepare("deploy", own)
    images.verify("deploy")
    assert not images.prepare("deploy", own)


def test_registry_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"localhost:9/none:1 could not be pulled: .*refused"):
        images.pull("localhost:9/none:1")


def test_asked_at_a_terminal(published: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tao_hf.cli import main; "
        "sys.exit(main(Path.cwd(), ['phase0', '--without-gpu']))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "hooks")}
    terminal = pexpect.spawn(
        sys.executable, ["-c", program], encoding="utf-8", timeout=120, dimensions=(40, 110), cwd=str(tmp_path), env=env
    )
    terminal.expect_exact("Which tao-pytorch image can you pull")
    terminal.send("--privileged" + ENTER)
    terminal.expect_exact("is no image reference")
    terminal.send(published["pytorch"] + ENTER)
    terminal.expect_exact("Which tao-deploy image can you pull")
    terminal.send(published["deploy"] + ENTER)
    terminal.expect_exact("Which tao-dataservices image can you pull")
    terminal.send(ENTER)
    terminal.expect_exact("everything is there")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.runtime
@pytest.mark.usefixtures("no_leftovers")
def test_copy_with_images_that_were_given(
    published: dict[str, str],
    tiny_vit: Path,
    tmp_path: Path,
) -> None:
    workdir = tmp_path / "workdir"
    used = {component: published[component] for component in host_check.REQUIRED}
    given = {f"image_{component}": reference for component, reference in used.items()}
    env = {"TAO_HF_CACHE": str(tmp_path / "cache")}
    done = copier_copy(workdir, tiny_vit, env, model_name=MODEL, runtime="auto", without_gpu="true", **given)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Phase 0:") == 1 and done.stdout.index("Phase 0:") < done.stdout.index("inspecting")
    assert done.stdout.count("skipped: no GPU") == len(host_check.GPU_CHECKS) + 1
    record = json.loads((workdir / ".tao-hf/workdir.json").read_text(encoding="utf-8"))
    assert (record["runtime"], record["gpu"]) == ("docker", False)
    answers = yaml.safe_load((workdir / ".tao-hf" / MODEL / "answers.yml").read_text(encoding="utf-8"))
    assert answers["containers"] == {"kind": "docker", "gpu": False, "images": used, "fallback": False}
    assert answers["runtime"] == "auto" and answers["keep_scratch"] is False


@pytest.mark.runtime
@pytest.mark.usefixtures("no_leftovers")
def test_copy_without_tao_images(fallback_image: str, tiny_vit: Path, tmp_path: Path) -> None:
    """The model is inspected in a plain Python image, and what was generated waits for its tests."""
    workdir = tmp_path / "workdir"
    given = {"image_pytorch": "none", "image_deploy": "none", "runtime": "docker", "run_tests": "full"}
    done = copier_copy(workdir, tiny_vit, {"TAO_HF_CACHE": str(tmp_path / "cache")}, model_name=MODEL, **given)
    assert done.returncode == 0, done.stdout
    assert f"models are inspected in {fallback_image}" in done.stdout and "nothing was tested" in done.stdout
    answers = yaml.safe_load((workdir / ".tao-hf" / MODEL / "answers.yml").read_text(encoding="utf-8"))
    assert answers["containers"] == {"kind": "docker", "gpu": False, "images": {}, "fallback": True}
    assert not (workdir / ".tao-hf" / MODEL / "report.md").exists()
