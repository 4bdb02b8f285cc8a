"""Step 16: the images are prepared, and Python in them takes tao-core from the working directory."""

from __future__ import annotations

from collections.abc import Callable

from tao_hf.runtime import engine, images
from tao_hf.selftest.steps.job import HOST, Command, HostTask, Job, Step, StepError

PREPARE = "./tao-hf phase0 --{component}-image IMAGE"


def _problem(component: str, say: Callable[[str], None]) -> str:
    """Return why the image of a component cannot be used, "" when it can; say what was found."""
    image = engine.prepared(component)
    if not engine.has_image(image):
        say(f"{image}: not there")
        return f"there is no image {image}; make it with {PREPARE.format(component=component)}"
    released = images.released_packages(image)
    if released:
        say(f"{image}: holds {', '.join(released)}")
        return f"{image} still holds {', '.join(released)}; prepare it again with ./tao-hf phase0"
    say(f"{image}: ready")
    return ""


def _check(say: Callable[[str], None]) -> None:
    try:
        problems = [_problem(component, say) for component in ("pytorch", "deploy")]
        if engine.has_image(engine.prepared("dataservices")):
            problems.append(_problem("dataservices", say))
    except engine.EngineError as error:
        raise StepError(str(error)) from error
    if any(problems):
        raise StepError("; ".join(filter(None, problems)))


def _images(job: Job) -> list[HostTask]:
    return [HostTask("look for the prepared images and for released packages in them", _check)]


def _images_gate(job: Job) -> str:
    found = [name for name in engine.COMPONENTS if engine.has_image(engine.prepared(name))]
    return f"{', '.join(found)}: prepared, without released packages"


def _origin(job: Job) -> list[Command]:
    argv = [*job.tool("check.origin"), job.inside(), job.model]
    argv += ["--installed"] if job.runtime.kind == "docker" else []
    return [Command(argv), Command(argv, context="deploy")]


STEPS = (
    Step(
        id="16",
        title="Images",
        context=HOST,
        commands=_images,
        gate=_images_gate,
        quick=True,
        precondition=True,
        docker_only=True,
    ),
    Step(
        id="16.origin",
        title="tao-core comes from the working directory",
        context="pytorch",
        also_in=("deploy",),
        commands=_origin,
        gate=lambda job: job.inside("tao-core"),
        needs=("16",),
        quick=True,
        precondition=True,
    ),
)
