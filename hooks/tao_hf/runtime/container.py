"""One container that lives as long as this process at most, and the commands that run in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine, pass_through
from tao_hf.runtime.interface import Completed
from tao_hf.runtime.process import TIMED_OUT, stream

WORKSPACE = "/workspace"
ELSEWHERE = "/host"
READY = "ready"
STOPPED = "the container was stopped from outside (killed, or out of memory)"
_CLOSE_SECONDS = 30.0
_DIES_SECONDS = 3.0
# The container's first process. Its standard input is a pipe that this process holds: when this process ends, however
# it ends, `cat` ends too, the commands still running are killed, and what root wrote in the bind mount is handed back
# to the owner of the mount. The container goes away with it (--rm).
_KEEPER = f"""
started=$(date +%s)
echo {READY}
cat > /dev/null
kill -9 -1
owner=$(stat -c %u:%g {WORKSPACE})
if [ "$(id -u)" = 0 ] && [ "$owner" != 0:0 ]; then
    find {WORKSPACE} -xdev '(' -uid 0 -o -gid 0 ')' -newerct "@$started" -exec chown -h "$owner" '{{}}' +
fi
"""


@dataclass(frozen=True)
class ContainerSettings:
    """How a container is started.

    Attributes:
        name: its name, or the beginning of it when `unique`.
        image: the image it runs.
        root: the host's directory that it sees as /workspace.
        unique: add a random ending to the name at once; otherwise only when the name is taken.
        user: "uid:gid" it runs as; None for root.
        readable: directories of the host that it can read below /host.
        variables: environment variables; nothing secret, `docker inspect` shows them.
        options: further options of `docker run`.
        workdir: directory inside in which commands run.
    """

    name: str
    image: str
    root: Path
    unique: bool = True
    user: str | None = None
    readable: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    workdir: str = WORKSPACE

    def argv(self, name: str) -> list[str]:
        """Return the command that starts the container under `name` and holds it."""
        words = ["--rm", "--interactive", "--name", name, "--pull", "never"]
        words += ["--label", f"{engine.LABEL}.root={self.root}", "--label", f"{engine.LABEL}.pid={os.getpid()}"]
        words += ["--user", self.user] if self.user else []
        words += ["--volume", f"{self.root}:{WORKSPACE}", "--workdir", self.workdir]
        for path in self.readable:
            words += ["--volume", f"{path}:{ELSEWHERE}{path}:ro"]
        for path in pass_through.certificates():
            words += ["--volume", f"{path}:{path}:ro"]
        for key, value in self.variables.items():
            words += ["--env", f"{key}={value}"]
        words += [*self.options, *pass_through.person_options()]
        return engine.command("run", *words, "--entrypoint", "sh", self.image, "-c", _KEEPER)


def inside(path: Path, root: Path) -> str:
    """Return how a container with `root` at /workspace names a path of the host: below it, else below /host."""
    if path == root:
        return WORKSPACE
    if path.is_relative_to(root):
        return f"{WORKSPACE}/{path.relative_to(root).as_posix()}"
    return f"{ELSEWHERE}{path}"


class Container:
    """A running container; see `ContainerSettings`."""

    def __init__(self, settings: ContainerSettings) -> None:
        """Start it and wait until commands can run in it.

        Raises:
            UserError: Docker cannot start it.
        """
        self.settings = settings
        self.name, self._keeper = _start(settings)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._keeper.poll() is None

    def run(
        self,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        passed: Sequence[str] = (),
        workdir: str | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run one command in it; see `Runtime.run`.

        Args:
            argv: the command.
            variables: environment variables with their values; nothing secret.
            passed: names of this process's variables to hand on where they are set; their values appear in no argument.
            workdir: directory inside.
            log: file for its output.
            on_line: called with each line.
            timeout: seconds, after which the container is removed.
        """
        try:
            done = stream(
                self.exec_argv(argv, variables or {}, passed, workdir),
                env=os.environ,
                log=log,
                on_line=on_line,
                timeout=timeout,
            )
        except BaseException:
            self.close()
            raise
        if done.returncode == TIMED_OUT and timeout:
            self.close()  # the command goes on inside after its client was killed
        elif done.returncode and self._has_died():
            if on_line:
                on_line(STOPPED)
            if log:
                with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
                    file.write(STOPPED + "\n")
            return replace(done, tail=f"{done.tail}\n{STOPPED}")
        return done

    def exec_argv(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        passed: Sequence[str] = (),
        workdir: str | None = None,
        options: Sequence[str] = (),
    ) -> list[str]:
        """Return the `docker exec` command that runs `argv` in the container; see `run`."""
        words = [*options, "--workdir", workdir or self.settings.workdir]
        for key, value in variables.items():
            words += ["--env", f"{key}={value}"]
        for name in passed:
            words += ["--env", name] if os.environ.get(name) else []
        return engine.command("exec", *words, self.name, *argv)

    def close(self) -> None:
        """Stop it and everything in it, hand its files back, and wait until it is gone."""
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()
        try:
            self._keeper.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(engine.EngineError):
                engine.run("rm", "--force", self.name)
            self._keeper.kill()
            self._keeper.wait()
        self._keeper.stdout.close()

    def _has_died(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(_DIES_SECONDS)
        return not self.alive


def _start(settings: ContainerSettings) -> tuple[str, subprocess.Popen]:
    name = f"{settings.name}-{secrets.token_hex(4)}" if settings.unique else settings.name
    keeper, said = _run(settings.argv(name))
    if "is already in use by container" in said and not settings.unique:
        return _start(replace(settings, unique=True))
    if said:
        raise UserError(f"The container {name} cannot be started: {engine.EngineError('run', said).reason}")
    return name, keeper


def _run(argv: Sequence[str]) -> tuple[subprocess.Popen, str]:
    """Start the keeper; return it and, when it ended instead of getting ready, what Docker said."""
    try:
        keeper = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"docker cannot be run: {error.strerror}; install it or choose runtime=local.") from error
    try:
        if keeper.stdout.readline().strip() == READY:
            threading.Thread(target=_drain, args=(keeper.stderr,), daemon=True).start()
            return keeper, ""
        said = keeper.stderr.read()
        keeper.wait()
    except BaseException:
        keeper.stdin.close()
        raise
    return keeper, said.strip() or "it ended at once"


def _drain(pipe) -> None:
    with contextlib.suppress(ValueError, OSError), pipe:
        for _ in pipe:
            pass
