"""Checks that what the containers need is on this machine, and prepares the TAO images; else a hard stop."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tao_hf.base import atomic
from tao_hf.base.errors import UserError
from tao_hf.base.progress import say
from tao_hf.runtime import engine, host, images, ngc

NO_IMAGES = "none"
REQUIRED = ("pytorch", "deploy")
VARIABLES = {
    "pytorch": "TAO_PT_PUB_IMAGE",
    "deploy": "TAO_DEPLOY_PUB_IMAGE",
    "dataservices": "TAO_DS_PUB_IMAGE",
}
EXAMPLES = {
    "pytorch": "nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt",
    "deploy": "nvcr.io/nvidia/tao/tao-toolkit:7.0.1-deploy",
    "dataservices": "nvcr.io/nvidia/tao/tao-toolkit:7.0.1-data-services",
}
GPU_CHECKS = (host.driver, host.cuda, host.container_toolkit)
SMOKE = "GPU in a container"
NO_GPU = (
    "This machine has no NVIDIA GPU that its driver can see; without one nothing is tested on a GPU, and you have to "
    "say so: ./tao-hf phase0 --without-gpu, or copier copy --data without_gpu=true."
)
_SMOKE_SECONDS = 180.0
_NAME_WIDTH = 25


def image_variable(component: str) -> str:
    """Return the image reference of a component that the environment names, an empty string when it names none."""
    return os.environ.get(VARIABLES[component], "").strip()


def no_images(references: Mapping[str, str]) -> bool:
    """Tell whether the person says that there are no TAO images here.

    Raises:
        UserError: they say so of one image and not of the other.
    """
    said = [references.get(component, "") == NO_IMAGES for component in REQUIRED]
    if any(said) and not all(said):
        raise UserError(
            f"Say {NO_IMAGES} for both the tao-pytorch and the tao-deploy image, or give both: the one is of no use "
            "without the other."
        )
    return all(said)


def check_references(references: Mapping[str, str]) -> None:
    """Raise UserError for the first reference that cannot name an image."""
    for component, reference in references.items():
        if reference not in ("", NO_IMAGES):
            problem = images.reference_problem(reference)
            if problem:
                raise UserError(f"tao-{component} image: {problem}.")


def run(
    references: Mapping[str, str], without_gpu: bool = False, ask: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Check the machine and prepare the images, showing a checklist.

    Args:
        references: published image by component; "none" for both pytorch and deploy when there are none here.
        without_gpu: the person says that GPU steps may be left out.
        ask: returns the person's answer for a component whose image is neither prepared nor given.

    Returns:
        ``kind`` ("docker"), ``gpu`` (whether containers use one), ``images`` (where each prepared one comes from) and
        ``fallback`` (whether there are no TAO images, so that a model can be inspected but not tested).

    Raises:
        UserError: what is missing and how to get it, a sentence each.
    """
    wanted = {component: references.get(component, "").strip() for component in engine.COMPONENTS}
    check_references(wanted)
    checklist = _Checklist()
    gpu = _check_machine(checklist, without_gpu, needed=not no_images(wanted))
    if ask:
        _ask_for_missing(wanted, ask)
    if no_images(wanted):
        images.pull(engine.FALLBACK_IMAGE)
        checklist.passed("TAO images", f"none here; models are inspected in {engine.FALLBACK_IMAGE}")
        return {"kind": "docker", "gpu": False, "images": {}, "fallback": True}
    _require_images(checklist, wanted)
    given = {component: reference for component, reference in wanted.items() if reference not in ("", NO_IMAGES)}
    used = [component for component in engine.COMPONENTS if component in given or _there(component)]
    _log_in(checklist, [reference for component, reference in given.items() if _must_pull(component, reference)])
    for component in engine.COMPONENTS:
        if component in used:
            _prepare(checklist, component, given.get(component, ""))
        else:
            checklist.skipped(f"tao-{component} image", "not given, and not needed")
    _smoke(checklist, gpu, without_gpu)
    origins = {component: images.source(component) for component in used}
    return {"kind": "docker", "gpu": gpu, "images": origins, "fallback": False}


class _Checklist:
    """The lines that say what was checked, and what was found missing."""

    def __init__(self) -> None:
        self._missing: list[str] = []
        say("  Phase 0: what the containers need")

    def passed(self, name: str, note: str) -> None:
        """Show that something is fine."""
        self._line("✓", name, note)

    def skipped(self, name: str, why: str) -> None:
        """Show that something was not looked at."""
        self._line("–", name, f"skipped: {why}")

    def failed(self, name: str, note: str, sentence: str) -> None:
        """Show that something is missing; `sentence` says what and how to get it."""
        self._line("✗", name, note)
        self._missing.append(sentence)

    def add(self, check: host.Check) -> None:
        """Show what a check of the host found."""
        if check.ok:
            self.passed(check.name, f"{check.found} (needs {check.need})")
            return
        found = check.found or "not found"
        sentence = f"{check.name} ≥ {check.need} is needed ({found}). {check.how}"
        self.failed(check.name, f"{found}, needs {check.need}", sentence)

    def stop_if_missing(self) -> None:
        """Raise UserError when anything is missing."""
        if len(self._missing) == 1:
            raise UserError(self._missing[0])
        if self._missing:
            raise UserError("\n  ".join([f"{len(self._missing)} things are missing:", *self._missing]))

    def _line(self, mark: str, name: str, note: str) -> None:
        say(f"  {mark} {name:<{_NAME_WIDTH}} {note}")


def _check_machine(checklist: _Checklist, without_gpu: bool, needed: bool) -> bool:
    """Check programs, daemon and GPU; return whether the GPU is to be used."""
    checklist.add(host.python())
    checklist.add(host.git())
    trouble = engine.problem()
    if trouble:
        checklist.failed("Docker", "no daemon answers", trouble)
    else:
        checklist.passed("Docker", engine.run("version", "--format", "{{.Server.Version}}").strip())
    reason = "no TAO images" if not needed else "no GPU" if not host.gpus() else "as you say" if without_gpu else ""
    if needed and not host.gpus() and not without_gpu:
        checklist.failed("NVIDIA GPU", "none found", NO_GPU)
    elif reason:
        for name in ("NVIDIA driver", "CUDA", "NVIDIA Container Toolkit"):
            checklist.skipped(name, reason)
    else:
        for check in GPU_CHECKS:
            checklist.add(check())
    checklist.stop_if_missing()
    return not reason


def _there(component: str) -> bool:
    return engine.has_image(engine.prepared(component))


def _ask_for_missing(wanted: dict[str, str], ask: Callable[[str], str]) -> None:
    for component in engine.COMPONENTS:
        if not wanted[component] and not _there(component):
            skip = NO_IMAGES in (wanted["pytorch"], wanted["deploy"])
            wanted[component] = NO_IMAGES if skip else ask(component)


def _require_images(checklist: _Checklist, wanted: Mapping[str, str]) -> None:
    for component in REQUIRED:
        if not wanted[component] and not _there(component):
            checklist.failed(
                f"tao-{component} image",
                "not given",
                f"The tao-{component} image is neither prepared nor given: name the published one you can pull, such "
                f"as {EXAMPLES[component]}, with ./tao-hf phase0 --{component}-image, with copier copy --data "
                f"image_{component}= or in {VARIABLES[component]}.",
            )
    checklist.stop_if_missing()


def _must_pull(component: str, reference: str) -> bool:
    return not engine.has_image(reference) and not images.up_to_date(component, reference)


def _log_in(checklist: _Checklist, to_pull: list[str]) -> None:
    if not any(images.registry(reference) == ngc.REGISTRY for reference in to_pull):
        checklist.skipped("NGC login", f"nothing to pull from {ngc.REGISTRY}")
    elif ngc.key():
        ngc.login()
        checklist.passed("NGC login", f"{ngc.REGISTRY} took the key in {ngc.KEY_VARIABLE}")
    else:
        checklist.skipped("NGC login", f"no {ngc.KEY_VARIABLE}; Docker may be logged in already")


def _prepare(checklist: _Checklist, component: str, reference: str) -> None:
    removed: list[str] = []
    if reference and not images.up_to_date(component, reference):
        images.pull(reference)
        removed = images.released_packages(reference)
        images.prepare(component, reference)
    images.verify(component)
    what = f"without {', '.join(removed)}" if removed else "holds no released TAO package"
    checklist.passed(f"tao-{component} image", f"{engine.prepared(component)}, {what}")


def _smoke(checklist: _Checklist, gpu: bool, without_gpu: bool) -> None:
    """Run nvidia-smi in a container."""
    if not gpu:
        checklist.skipped(SMOKE, "no GPU" if not host.gpus() else "as you say")
        return
    options = ("--rm", "--network", "none", "--pull", "never", "--gpus", "all", "--entrypoint", "nvidia-smi")
    try:
        engine.run("run", *options, engine.prepared("pytorch"), timeout=_SMOKE_SECONDS)
    except engine.EngineError as error:
        checklist.failed(
            SMOKE,
            "nvidia-smi does not work there",
            f"docker run --gpus all does not work ({error.reason}): run sudo nvidia-ctk runtime configure "
            "--runtime=docker, restart Docker, and try again.",
        )
        checklist.stop_if_missing()
    checklist.passed(SMOKE, ", ".join(host.gpus()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``./tao-hf phase0``."""
    for component in engine.COMPONENTS:
        optional = "" if component in REQUIRED else "; optional"
        parser.add_argument(
            f"--{component}-image",
            metavar="REF",
            default="",
            help=f"the published tao-{component} image, such as {EXAMPLES[component]}, or {NO_IMAGES} when there is "
            f"none here (default: {VARIABLES[component]} in the environment, else what was prepared earlier{optional})",
        )
    parser.add_argument("--without-gpu", action="store_true", help="go on without an NVIDIA GPU")


def main(workdir: Path, args: argparse.Namespace) -> int:
    """Check the host; the tests of the working directory run in the containers then. Return the exit status."""
    arguments = {component: getattr(args, f"{component}_image") for component in engine.COMPONENTS}
    references = {component: reference or image_variable(component) for component, reference in arguments.items()}
    result = run(references, args.without_gpu, _prompt if sys.stdin.isatty() and sys.stderr.isatty() else None)
    say("\n  everything is there" + ("" if result["gpu"] else "; what needs a GPU will be skipped"))
    record = workdir / ".tao-hf" / "workdir.json"
    if record.is_file() and not result["fallback"]:
        _record(record, result["gpu"])
    return 0


def _record(file: Path, gpu: bool) -> None:
    """Let a working directory's tests run in the containers."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        after = {**before, "runtime": "docker", "gpu": gpu}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} cannot be read; run copier copy again to write it anew.") from error
    atomic.write(file, json.dumps(after, indent=2) + "\n")
    if before.get("runtime") != "docker":
        say("  from now on the models of this working directory are tested in these containers")


def _prompt(component: str) -> str:
    """Ask at the terminal until the answer can be an image reference; nothing may be answered."""
    hint = f"{NO_IMAGES} if there is none here" if component in REQUIRED else "not needed to test a model"
    while True:
        question = f"\n  Which tao-{component} image can you pull, such as {EXAMPLES[component]}? ({hint})\n  > "
        print(question, end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
        problem = images.reference_problem(answer) if answer else None
        if not problem:
            return answer
        say(f"  {problem}")
