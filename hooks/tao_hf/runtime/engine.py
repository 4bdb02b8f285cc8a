"""Talks to the Docker engine through its command line; nothing here can send an image anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess

from tao_hf.base.errors import UserError

# Subcommands this package may run. `push`, `tag` and the like are not among them.
_ALLOWED = frozenset(
    ("build", "exec", "image", "info", "inspect", "kill", "login", "ps", "pull", "rm", "run", "version")
)
_ANSWER_SECONDS = 20
COMPONENTS = ("pytorch", "deploy", "dataservices")
FALLBACK_IMAGE = "python:3.12-slim"
LABEL = "tao-hf-template"


class EngineError(UserError):
    """A docker command that failed: `reason` is the line that says why, `output` all it printed."""

    def __init__(self, subcommand: str, output: str) -> None:
        """Keep what ran and why it failed."""
        self.output = output.strip()
        lines = [line for line in self.output.splitlines() if line.strip()] or ["it gave no reason"]
        self.reason = next((line for line in lines if "rror" in line), lines[0]).removeprefix("docker: ").strip()
        super().__init__(f"docker {subcommand}: {self.reason}")


def prepared(component: str) -> str:
    """Return the local image in which a component's commands run, such as "tao-pytorch-base:latest".

    `TAO_HF_IMAGE_TAG` names another tag than latest, for several TAO releases side by side.

    Args:
        component: one of COMPONENTS.
    """
    return f"tao-{component}-base:{os.environ.get('TAO_HF_IMAGE_TAG') or 'latest'}"


def command(subcommand: str, *args: str) -> list[str]:
    """Return the argv of a docker command; ValueError for one this package may not run."""
    if subcommand not in _ALLOWED or (subcommand == "image" and args[:1] != ("inspect",)):
        raise ValueError(f"docker {' '.join((subcommand, *args[:1]))} is none of the commands this package runs")
    return ["docker", subcommand, *args]


def run(subcommand: str, *args: str, text: str | None = None, timeout: float = 120.0) -> str:
    """Run one docker command to its end and return its standard output.

    Args:
        subcommand: such as "image".
        args: its arguments.
        text: what it reads on standard input.
        timeout: seconds.

    Raises:
        EngineError: it failed, took too long, or there is no docker.
    """
    try:
        done = subprocess.run(
            command(subcommand, *args),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(subcommand, f"no answer within {timeout:.0f} s") from error
    except OSError as error:
        raise EngineError(subcommand, f"the docker command cannot be run: {error.strerror}") from error
    if done.returncode:
        raise EngineError(subcommand, done.stderr or done.stdout)
    return done.stdout


def problem() -> str | None:
    """Return one sentence saying why Docker cannot be used, None when its daemon answers."""
    if not shutil.which("docker"):
        return "Docker is not installed; see https://docs.docker.com/engine/install, or choose runtime=local."
    try:
        run("version", "--format", "{{.Server.Version}}", timeout=_ANSWER_SECONDS)
    except EngineError as error:
        if "permission denied" in error.output:
            return (
                "You may not use the Docker daemon; have yourself added to the group docker "
                "(sudo usermod -aG docker $USER, then log in again), or choose runtime=local."
            )
        return (
            f"The Docker daemon does not answer ({error.reason}); start it (sudo systemctl start docker), "
            "or choose runtime=local."
        )
    return None


def require() -> None:
    """Raise UserError unless the Docker daemon answers."""
    trouble = problem()
    if trouble:
        raise UserError(trouble)


def has_image(reference: str) -> bool:
    """Tell whether an image is there locally."""
    try:
        run("image", "inspect", "--format", "{{.Id}}", reference)
    except EngineError:
        return False
    return True


def rootless() -> bool:
    """Tell whether the daemon runs without root: a container's root is then the calling user."""
    try:
        return "name=rootless" in run("info", "--format", "{{.SecurityOptions}}")
    except EngineError:
        return False
