"""Containers live as long as the process that started them, whatever ends it; on a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine as docker
from tao_hf.runtime.container import STOPPED, Container, ContainerSettings
from tao_hf.runtime.kinds import get_runtime
from tests.support.paths import HOOKS
from tests.support.somebody import heed_interrupts

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine", "prepared", "no_leftovers")]
SOMEBODY = 12345

HOLD = """
import sys
from pathlib import Path
from tao_hf.runtime.container import Container, ContainerSettings
container = Container(ContainerSettings("tao-hf-test", sys.argv[1], Path(sys.argv[2])))
print(container.name, flush=True)
container.run(["sh", "-c", "mkdir made; echo x > made/file; echo y > '/workspace/a file'; sleep 1000"])
"""


def image() -> str:
    return docker.prepared("deploy")


def containers() -> list[str]:
    return docker.run("ps", "--all", "--format", "{{.Names}}").split()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)


@contextmanager
def running(settings: ContainerSettings) -> Iterator[Container]:
    container = Container(settings)
    try:
        yield container
    finally:
        container.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory that belongs to somebody who is not root."""
    folder = tmp_path / "workdir"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    return folder


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in (folder, *folder.rglob("*"))}


def test_commands_run_and_files_are_handed_back(root: Path) -> None:
    """Output, status, directory and variables are right; what root wrote belongs to the mount's owner afterwards."""
    settings = ContainerSettings("tao-hf-test", image(), root, variables={"A": "container"})
    with running(settings) as container:
        lines: list[str] = []
        command = ["sh", "-c", 'echo "$A $B"; pwd; exit 7']
        done = container.run(command, variables={"B": "exec"}, workdir="/tmp", on_line=lines.append)
        assert (done.returncode, lines) == (7, ["container exec", "/tmp"])
        container.run(["sh", "-c", "mkdir -p a/b; echo 1 > a/b/c; ln -s nowhere a/link"])
        assert container.alive
    assert (root / "a" / "b" / "c").read_text() == "1\n"
    assert owners(root) == {(SOMEBODY, SOMEBODY)}
    assert container.name not in containers()


def test_what_belonged_to_root_before_stays_with_root(root: Path) -> None:
    """Only what changed while the container ran is handed back."""
    (root / "mine").write_text("of root\n")
    time.sleep(1.1)
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        container.run(["touch", "new"])
    assert (root / "mine").stat().st_uid == 0
    assert (root / "new").stat().st_uid == SOMEBODY


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_container_ends_with_the_process(root: Path, number: signal.Signals) -> None:
    """Also on SIGKILL: no container is left running and no file of root's."""
    argv = [sys.executable, "-c", HOLD, image(), str(root)]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=heed_interrupts,
        env={**os.environ, "PYTHONPATH": str(HOOKS)},
    )  # fmt: skip
    name = process.stdout.readline().strip()
    wait_for((root / "a file").exists)
    assert name in containers()
    os.kill(process.pid, number)
    process.wait(20)
    wait_for(lambda: name not in containers())
    assert owners(root) == {(SOMEBODY, SOMEBODY)}
    assert (root / "made" / "file").read_text() == "x\n"


def test_container_killed_from_outside_is_said(root: Path, tmp_path: Path) -> None:
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        threading.Timer(1.0, lambda: docker.run("kill", container.name)).start()
        log = tmp_path / "step.log"
        done = container.run(["sleep", "60"], log=log)
        assert done.returncode == 137
        assert STOPPED in done.tail
        assert STOPPED in log.read_text()
        assert not container.alive


def test_time_limit_ends_the_command_inside(root: Path) -> None:
    """A command over its time is gone, not only its client."""
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        done = container.run(["sleep", "60"], timeout=1.5)
        assert done.returncode == 124
        assert container.name not in containers()


def test_name_in_use_gets_an_ending(root: Path) -> None:
    """Two inspections at once live side by side."""
    settings = ContainerSettings("tao-hf-test-inspect", image(), root, unique=False)
    with running(settings) as first, running(settings) as second:
        assert first.name == "tao-hf-test-inspect"
        assert second.name.startswith("tao-hf-test-inspect-")
        second.close()
        assert first.run(["true"]).returncode == 0


def test_runs_as_the_user_asked_for(root: Path) -> None:
    with running(ContainerSettings("tao-hf-test", image(), root, user=f"{SOMEBODY}:{SOMEBODY}")) as container:
        lines: list[str] = []
        container.run(["sh", "-c", "id -u; touch mine"], on_line=lines.append)
    assert lines == [str(SOMEBODY)]
    assert (root / "mine").stat().st_uid == SOMEBODY


def test_secrets_are_nowhere_to_be_seen(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gets the token; docker inspect, the process list and the log do not."""
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret_value")
    monkeypatch.setenv("https_proxy", "http://me:proxy_secret_value@proxy:3128")
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        seen: list[str] = []

        def look() -> None:
            wait_for((root / "started").exists)
            seen.append(docker.run("inspect", container.name))
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

        watcher = threading.Thread(target=look)
        watcher.start()
        log = tmp_path / "log"
        script = 'touch started; sleep 3; echo "token $HF_TOKEN"; [ -n "$https_proxy" ]'
        done = container.run(["sh", "-c", script], passed=("HF_TOKEN", "https_proxy", "NOT_SET"), log=log)
        watcher.join()
    assert done.returncode == 0
    assert log.read_text() == "token ****\n"
    assert any(container.name in text for text in seen)
    assert not [text for text in seen if "secret_value" in text]


def test_options_of_the_person_take_effect(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extra docker run options and a certificate bundle reach the container."""
    bundle = tmp_path / "company.pem"
    bundle.write_text("certificate\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("TAO_HF_DOCKER_ARGS", f"--env EXTRA=yes --volume {tmp_path}:/data:ro --hostname box")
    lines: list[str] = []
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        command = ["sh", "-c", 'echo "$EXTRA"; hostname; ls /data; cat "$SSL_CERT_FILE"']
        container.run(command, passed=("SSL_CERT_FILE",), on_line=lines.append)
    assert lines == ["yes", "box", "company.pem", "workdir", "certificate"]


def test_docker_refuses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is not there, an option docker does not know: Docker's reason in one sentence."""
    with pytest.raises(UserError, match=r"cannot be started: .*No such image"):
        Container(ContainerSettings("tao-hf-test", "tao-hf-no-such-image:x", root))
    monkeypatch.setenv("TAO_HF_DOCKER_ARGS", "--no-such-option")
    with pytest.raises(UserError, match="unknown flag"):
        Container(ContainerSettings("tao-hf-test", image(), root))


def test_daemon_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in one sentence with the way out."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    with pytest.raises(UserError, match=r"daemon does not answer .* start it .* runtime=local"):
        get_runtime("docker", tmp_path).prepare()
    assert get_runtime("auto").kind == "local"


def test_labels_name_process_and_directory(root: Path) -> None:
    with running(ContainerSettings("tao-hf-test", image(), root)) as container:
        labels = json.loads(docker.run("inspect", "--format", "{{json .Config.Labels}}", container.name))
    assert labels["tao-hf-template.root"] == str(root)
    assert labels["tao-hf-template.pid"] == str(os.getpid())
