"""Run Python as a user who is not root but may use Docker, as most people are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.paths import HOOKS

UID = 12345
SOCKET = Path("/var/run/docker.sock")
_PASSED = ("TAO_HF_IMAGE_TAG", "SSL_CERT_FILE", "PIP_CERT")


def heed_interrupts() -> None:
    """Let a child heed SIGINT and SIGHUP, which jobs in the background and those of nohup ignore (for preexec_fn)."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Somebody:
    """A user with a home folder that others can reach, and the hooks in it."""

    def __init__(self, home: Path) -> None:
        """Make the user's home and put what the hooks need of the template there."""
        self.home = home
        for name in ("hooks", "standins", "networks", "tasks"):
            shutil.copytree(HOOKS.parent / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.own(home)

    def own(self, folder: Path) -> Path:
        """Give a folder and what is in it to the user."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, UID, UID, follow_symlinks=False)
        return folder

    def start(self, code: str, *args: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `code` as this user with the hooks on the path; output and errors are merged."""
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "USER": "somebody",
            "PYTHONPATH": str(self.home / "hooks"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TAO_HF_CACHE": str(self.home / "cache"),
        }
        variables |= {name: os.environ[name] for name in _PASSED if name in os.environ}
        return subprocess.Popen(
            ["/usr/bin/python3", "-c", code, *map(str, args)],
            cwd=self.home,
            env={**variables, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=UID,
            group=UID,
            extra_groups=[SOCKET.stat().st_gid],
            preexec_fn=heed_interrupts,
        )

    def run(self, code: str, *args: object, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run `code` to its end as this user; return its status and what it printed."""
        with self.start(code, *args, env=env) as process:
            said, _ = process.communicate(timeout=300)
        return process.returncode, said


@pytest.fixture
def somebody() -> Iterator[Somebody]:
    """Return a user who is not root; skips where there cannot be one."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3 that every user can run")
    with tempfile.TemporaryDirectory(prefix="somebody-", dir="/tmp") as home:
        Path(home).chmod(0o755)
        yield Somebody(Path(home))
