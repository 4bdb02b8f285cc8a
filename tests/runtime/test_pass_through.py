"""What of the person's environment reaches `docker run` and `docker exec`, and what is refused. Needs no engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine, pass_through
from tao_hf.runtime.container import ContainerSettings, inside


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", []),
        ("--shm-size=32g", ["--shm-size=32g"]),
        ("--gpus '\"device=0,1\"'", ["--gpus", '"device=0,1"']),
        ("-v /data:/data:ro --env FOO=bar", ["-v", "/data:/data:ro", "--env", "FOO=bar"]),
        ("-v /workspaces:/workspaces --env=WORKDIR=/x", ["-v", "/workspaces:/workspaces", "--env=WORKDIR=/x"]),
    ],
)
def test_options_of_the_person_are_passed_on(given: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_HF_DOCKER_ARGS", given)
    assert pass_through.person_options() == words


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("--name x", "--name"),
        ("--user=0", "--user"),
        ("-u 1000", "-u"),
        ("-w/tmp", "-w"),
        ("--entrypoint bash", "--entrypoint"),
        ("-d", "-d"),
        ("-v /tmp:/workspace", "/workspace"),
        ("--mount type=bind,source=/tmp,target=/workspace", "/workspace"),
        ("--volume=/tmp:/workspace/:ro", "/workspace"),
        ("-e PYTHONPATH=/tmp", "PYTHONPATH"),
        ("--env HF_TOKEN=hf_secret", "HF_TOKEN"),
        ("--env=NGC_KEY=secret", "NGC_KEY"),
        ("-eHF_TOKEN=hf_secret", "HF_TOKEN"),
        ("--env 'x", "quot"),
        ("tao-pytorch-base:latest sleep 1", "option"),
    ],
)
def test_options_that_would_break_the_containers_are_refused(
    given: str, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that names the option and never repeats a secret."""
    monkeypatch.setenv("TAO_HF_DOCKER_ARGS", given)
    with pytest.raises(UserError, match=names) as caught:
        pass_through.person_options()
    assert "secret" not in str(caught.value)
    assert "TAO_HF_DOCKER_ARGS" in str(caught.value)


def test_certificates_are_mounted_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles that exist, once each; what is no file is left out."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    bundle = tmp_path / "company.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("PIP_CERT", str(bundle))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "gone.pem"))
    assert pass_through.certificates() == [bundle]
    assert f"{bundle}:{bundle}:ro" in ContainerSettings("n", "image", tmp_path).argv("n")


def test_docker_run_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options that the rest relies on are there, and no value of a secret."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NGC_KEY", "ngc_secret")
    monkeypatch.setenv("TAO_HF_DOCKER_ARGS", "--shm-size=32g")
    settings = ContainerSettings(
        "n", "image", tmp_path, user="7:8", options=("--shm-size", "16G"), variables={"A": "b"}
    )
    argv = settings.argv("name")
    text = " ".join(argv)
    assert argv[:2] == ["docker", "run"]
    assert f"--volume {tmp_path}:/workspace" in text
    assert "--user 7:8" in text and "--rm" in text and "--interactive" in text and "--env A=b" in text
    assert text.index("--shm-size 16G") < text.index("--shm-size=32g"), "the person's option must win"
    assert "secret" not in text


def test_paths_inside() -> None:
    root = Path("/data/work")
    assert inside(root, root) == "/workspace"
    assert inside(root / "a" / "b", root) == "/workspace/a/b"
    assert inside(Path("/data/workers"), root) == "/host/data/workers"


@pytest.mark.parametrize("words", ["push", "tag", "commit", "system", "save", "image push", "image"])
def test_no_other_docker_command_can_be_run(words: str) -> None:
    with pytest.raises(ValueError, match="none of the commands"):
        engine.command(*words.split())


def test_image_names_follow_the_procedure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tags of the porting procedure, unless another tag is asked for."""
    monkeypatch.delenv("TAO_HF_IMAGE_TAG", raising=False)
    names = [engine.prepared(component) for component in engine.COMPONENTS]
    assert names == ["tao-pytorch-base:latest", "tao-deploy-base:latest", "tao-dataservices-base:latest"]
    monkeypatch.setenv("TAO_HF_IMAGE_TAG", "7.0.1")
    assert engine.prepared("deploy") == "tao-deploy-base:7.0.1"
