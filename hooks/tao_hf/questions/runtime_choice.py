"""Where Python code runs: which images are asked for, and what the answers come to on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tao_hf.base.errors import UserError
from tao_hf.base.progress import say
from tao_hf.runtime import engine, host, host_check, images


def default_image(component: str, image_pytorch: str = "") -> str:
    """Return the published image that the environment names; "none" where the person has no tao-pytorch image."""
    return host_check.NO_IMAGES if image_pytorch == host_check.NO_IMAGES else host_check.image_variable(component)


def asks_for_image(component: str, runtime: str, *answered: str) -> bool:
    """Tell whether a published image is to be asked for: containers may be used, and it is not prepared yet.

    Args:
        component: One of engine.COMPONENTS.
        runtime: The answer.
        answered: The images answered before this one; nothing or "none" for one of them means no containers.
    """
    if runtime == "local" or host_check.NO_IMAGES in answered or _docker_problem():
        return False
    before = zip(engine.COMPONENTS, answered, strict=False)
    if runtime == "auto" and any(not answer and not _is_prepared(name) for name, answer in before):
        return False
    return not _is_prepared(component)


def asks_about_gpu(runtime: str, *answered: str) -> bool:
    """Tell whether the person must say that it goes without a GPU; `answered` are the tao-pytorch and deploy images."""
    if runtime == "local" or host_check.NO_IMAGES in answered or host.gpus() or _docker_problem():
        return False
    return all(answer or _is_prepared(name) for name, answer in zip(host_check.REQUIRED, answered, strict=True))


def image_problem_when_asked(question: str, conf: Mapping[str, Any], answer: str) -> str:
    """Return what is wrong with an image typed at the prompt, or an empty string; see `problem_when_asked`."""
    if conf["defaults"] or question in conf["data"] or answer in ("", host_check.NO_IMAGES):
        return ""
    return "this is no image reference: write registry/name:tag" if images.reference_problem(answer) else ""


def settle_runtime(
    runtime: str, image_pytorch: str, image_deploy: str, image_dataservices: str, without_gpu: bool
) -> dict[str, Any]:
    """Return where Python code runs, after the check of the host where that is in containers.

    Returns:
        ``kind`` ("docker" or "local"), ``gpu``, ``images`` and ``fallback``, as `host_check.run` does.

    Raises:
        UserError: The person wants containers, and something they need is missing.
    """
    settled = _settle_once(runtime, (image_pytorch, image_deploy, image_dataservices), without_gpu)
    if isinstance(settled, UserError):
        raise settled
    return settled


@cache
def _docker_problem() -> str | None:
    return engine.problem()


@cache
def _is_prepared(component: str) -> bool:
    return engine.has_image(engine.prepared(component))


def _local(because: str = "") -> dict[str, Any]:
    if because:
        say(f"  – using the local runtime: {because}")
    return {"kind": "local", "gpu": False, "images": {}, "fallback": False}


@cache
def _settle_once(runtime: str, answered: tuple[str, ...], without_gpu: bool) -> dict[str, Any] | UserError:
    """Settle once per run: Copier asks for the default of a question many times."""
    try:
        return _settle(runtime, dict(zip(engine.COMPONENTS, answered, strict=True)), without_gpu)
    except UserError as error:
        return error


def _settle(runtime: str, answers: dict[str, str], without_gpu: bool) -> dict[str, Any]:
    if runtime == "local":
        return _local()
    host_check.check_references(answers)
    if runtime == "auto":
        reason = _why_not_docker(answers, without_gpu)
        if reason:
            return _local(reason)
    try:
        return host_check.run(answers, without_gpu)
    except UserError as error:
        if runtime == "auto":
            return _local(str(error))
        raise


def _why_not_docker(answers: Mapping[str, str], without_gpu: bool) -> str:
    """Return why `auto` means local, an empty string when it means docker."""
    trouble = _docker_problem()
    if trouble:
        return trouble.replace(", or choose runtime=local", "")
    if host_check.no_images(answers):
        return "Docker answers, but there are no TAO images here."
    missing = [f"tao-{name}" for name in host_check.REQUIRED if not answers[name] and not _is_prepared(name)]
    if missing:
        return (
            f"Docker answers, but no {' and no '.join(missing)} image is prepared or given; name the ones you can pull "
            "with --data image_pytorch= and --data image_deploy=."
        )
    if not host.gpus() and not without_gpu:
        return "Docker answers, but there is no NVIDIA GPU; --data without_gpu=true uses the containers without one."
    return ""
