"""The TAO images: pulled, prepared by removing the released TAO packages, and proven to hold none."""

from __future__ import annotations

import json
import os
import re

from tao_hf.base.errors import UserError
from tao_hf.base.progress import activity
from tao_hf.base.text import one_line
from tao_hf.runtime import engine, ngc
from tao_hf.runtime.process import stream

SOURCE = f"{engine.LABEL}.source"
SOURCE_ID = f"{engine.LABEL}.source-id"
_LONGEST_REFERENCE = 512
_BUILD_SECONDS = 1800.0
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)
_RELEASED = re.compile(r"nvidia-tao-")
_LIST = ("-m", "pip", "list", "--format=json", "--disable-pip-version-check")
# Runs while the image is built. What lies in several places is found once per round; what pip cannot remove stays, for
# `verify` to name.
_STRIP = """
import json, re, subprocess, sys
pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
for _ in range(4):
    listed = subprocess.run([*pip, "list", "--format=json"], cwd="/", check=True, stdout=subprocess.PIPE).stdout
    names = [item["name"] for item in json.loads(listed.decode().strip().splitlines()[-1])]
    names = [name for name in names if re.sub(r"[-_.]+", "-", name).lower().startswith("nvidia-tao-")]
    if not names:
        break
    for name in names:
        subprocess.run([*pip, "uninstall", "--yes", name], cwd="/")
"""
_DOCKERFILE = """\
FROM {reference}
USER root
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN {strip}
"""
_STRIP_VARIABLES = ("PIP_ROOT_USER_ACTION=ignore", "PIP_BREAK_SYSTEM_PACKAGES=1", "PIP_NO_CACHE_DIR=1")


def reference_problem(reference: str) -> str | None:
    """Return one sentence saying why `reference` cannot name an image, None when it can."""
    if len(reference) <= _LONGEST_REFERENCE and _REFERENCE.fullmatch(reference):
        return None
    return f"{one_line(reference)} is no image reference: write it as registry/name:tag or registry/name@sha256:…"


def registry(reference: str) -> str:
    """Return the registry that a reference names; Docker Hub's where it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def pull(reference: str) -> None:
    """Pull an image unless it is there.

    Raises:
        UserError: it cannot be had.
    """
    _require_reference(reference)
    if engine.has_image(reference):
        return
    with activity(f"Pulling {reference}") as shown:
        done = stream(engine.command("pull", reference), env=os.environ, on_line=shown.detail)
        if done.returncode:
            raise _no_image(reference, engine.EngineError("pull", done.tail))


def prepare(component: str, reference: str) -> bool:
    """Make the prepared image of a component from a published one; tell whether there was anything to do.

    An image that was prepared from this very one stays; the published image may have been removed since.

    Args:
        component: one of engine.COMPONENTS.
        reference: the published image, which must be there unless the prepared one was made from it.

    Raises:
        UserError: the image cannot be prepared.
    """
    _require_reference(reference)
    target = engine.prepared(component)
    if up_to_date(component, reference):
        return False
    labels = {SOURCE: reference, SOURCE_ID: _identity(reference)}
    options = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    script = json.dumps(["env", *_STRIP_VARIABLES, "python", "-c", _STRIP])
    dockerfile = _DOCKERFILE.format(reference=reference, strip=script)
    with activity(f"Preparing {target}"):
        try:
            arguments = ("--force-rm", "--network", "none", *options, "--tag", target, "-")
            engine.run("build", *arguments, text=dockerfile, timeout=_BUILD_SECONDS)
        except engine.EngineError as error:
            reason = one_line((error.output.splitlines() or [error.reason])[-1])
            raise UserError(
                f"{target} could not be made from {reference} ({reason}); it needs Python with pip, "
                "as TAO's images have."
            ) from error
    return True


def up_to_date(component: str, reference: str) -> bool:
    """Tell whether a component's prepared image was made from the image that `reference` now names."""
    target = engine.prepared(component)
    if not engine.has_image(target):
        return False
    if not engine.has_image(reference):
        return _label(target, SOURCE) == reference
    identity = _identity(reference)
    return _label(target, SOURCE_ID) == identity or (_identity(target) == identity and not released_packages(target))


def source(component: str) -> str:
    """Return the reference that a prepared image was made from; its own name when it does not say."""
    return _label(engine.prepared(component), SOURCE) or engine.prepared(component)


def verify(component: str) -> None:
    """Check that a prepared image holds no released TAO package.

    Raises:
        UserError: it holds one, or cannot be asked.
    """
    left = released_packages(engine.prepared(component))
    if left:
        raise UserError(
            f"{engine.prepared(component)} still holds {', '.join(left)}, which would be imported in place of your "
            "clones: pip cannot remove it, so take it out of the image by hand."
        )


def released_packages(image: str) -> list[str]:
    """Return the released TAO packages in an image, such as "nvidia-tao-core 7.0.1", as its own pip lists them.

    Raises:
        UserError: the image cannot be asked.
    """
    options = ("--rm", "--network", "none", "--pull", "never", "--workdir", "/", "--entrypoint", "python")
    try:
        printed = engine.run("run", *options, image, *_LIST)
        listed = json.loads(next(line for line in reversed(printed.splitlines()) if line.startswith(("[{", "[]"))))
        installed = sorted((str(entry["name"]), str(entry["version"])) for entry in listed)
    except engine.EngineError as error:
        raise UserError(f"{image} cannot be asked for its packages: {error.reason}.") from error
    except (StopIteration, ValueError, KeyError, TypeError):
        raise UserError(f"{image} cannot be asked for its packages: its pip lists none.") from None
    return [one_line(f"{name} {version}") for name, version in installed if _RELEASED.match(_normalised(name))]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _require_reference(reference: str) -> None:
    problem = reference_problem(reference)
    if problem:
        raise UserError(problem)


def _identity(image: str) -> str:
    return _asked(image, "{{.Id}}")


def _label(image: str, name: str) -> str:
    return _asked(image, f'{{{{index .Config.Labels "{name}"}}}}')


def _asked(image: str, template: str) -> str:
    try:
        return engine.run("image", "inspect", "--format", template, image).strip()
    except engine.EngineError as error:
        raise UserError(f"Docker cannot tell about {image}: {error.reason}.") from error


def _no_image(reference: str, error: engine.EngineError) -> UserError:
    """Return what to tell the person about a pull that failed."""
    said, home = error.output.lower(), registry(reference)
    if re.search(r"unauthorized|authentication required|denied|\b40[13]\b", said):
        if home == ngc.REGISTRY:
            return UserError(
                f"{home} does not let you pull {reference}: get a key at {ngc.KEY_PAGE} and set it as "
                f"{ngc.KEY_VARIABLE} in the environment."
            )
        return UserError(f"{home} does not let you pull {reference}: check its name, or run docker login {home}.")
    if "not found" in said or "manifest unknown" in said:
        return UserError(f"There is no image {reference}: check its name and tag.")
    if "no space left" in said:
        return UserError(f"{reference} does not fit on the disk: make room where Docker keeps its images.")
    reason = one_line(error.reason.removeprefix("Error response from daemon: "))
    return UserError(f"{reference} could not be pulled: {reason.rstrip('.')}.")
