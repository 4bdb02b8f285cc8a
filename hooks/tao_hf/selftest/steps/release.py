"""Step 25: the release images, built from the wheels of step 21."""

from __future__ import annotations

from collections.abc import Callable

from tao_hf.runtime import engine, release_image
from tao_hf.selftest.steps import wheels
from tao_hf.selftest.steps.job import HOST, HostTask, Job, Step, StepError


def _build(job: Job, clone: str, say: Callable[[str], None]) -> None:
    wheel, reason = wheels.built(job, clone)
    if wheel is None:
        raise StepError(f"there is no wheel of {clone} for its release image: {reason}")
    release_image.build(job.workdir, clone, wheel, say)


def _tasks(job: Job) -> list[HostTask]:
    return [
        HostTask(f"build {release_image.image(clone)}", lambda say, clone=clone: _build(job, clone, say))
        for clone in release_image.DOCKERFILES
    ]


def _gate(job: Job) -> str:
    for name in map(release_image.image, release_image.DOCKERFILES):
        if not engine.has_image(name):
            raise StepError(f"there is no image {name}")
    return ", ".join(map(release_image.image, release_image.DOCKERFILES))


STEPS = (
    Step(
        id="25",
        title="Release images",
        context=HOST,
        commands=_tasks,
        gate=_gate,
        needs=("16", "21"),
        docker_only=True,
        optional=True,
    ),
)
