"""What of the person's environment reaches the containers: proxies, certificates, tokens, options of their own.

Values go by name (`docker exec --env NAME`), so that no argument, log or `docker inspect` shows them.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.runtime.process import SECRETS

OPTIONS_VARIABLE = "TAO_HF_DOCKER_ARGS"
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_PACKAGE_INDEX = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY")
NETWORK = (*_PROXIES, *(name.upper() for name in _PROXIES), *_CERTIFICATES, *_PACKAGE_INDEX)
HUB = ("HF_TOKEN", "HF_ENDPOINT")

# What would undo how the containers work: who they run as, what they are called, when they end.
_OURS = re.compile(r"--(?:name|user|workdir|entrypoint|detach|restart|cidfile|pull)(?==|$)|-[duw]")
_VARIABLE = re.compile(r"^(?:--env=|-e=?)?([A-Za-z_]\w*)=")


def certificates() -> list[Path]:
    """Return the certificate bundles that the environment names, for mounting where they are."""
    named = (Path(os.environ[name]) for name in _CERTIFICATES if os.environ.get(name))
    return sorted({path for path in named if path.is_absolute() and path.is_file()})


def person_options() -> list[str]:
    """Return the options of `docker run` in TAO_HF_DOCKER_ARGS.

    Raises:
        UserError: they cannot be read, or would break how the containers work, or hold a secret.
    """
    text = os.environ.get(OPTIONS_VARIABLE, "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{OPTIONS_VARIABLE} cannot be read ({error}); quote it as for a shell.") from error
    if words and not words[0].startswith("-"):
        raise UserError(f"{OPTIONS_VARIABLE} must start with an option of docker run, not with {words[0]}.")
    for before, word in zip(["", *words], words, strict=False):
        problem = _problem(before, word)
        if problem:
            raise UserError(f"{OPTIONS_VARIABLE} must not {problem}.")
    return words


def _problem(before: str, word: str) -> str | None:
    """Return what a word, after the word before it, would do wrong."""
    ours = _OURS.match(word)
    if ours:
        return f"hold {ours[0]}: the template decides that"
    mount = before in ("-v", "--volume", "--mount", "--tmpfs") or re.match(r"(-v|--volume=|--mount=|--tmpfs=)", word)
    if mount and any(target.rstrip("/") == "/workspace" for target in re.split(r"[:,=]", word.removeprefix("-v"))):
        return "mount anything at /workspace: the working directory is there"
    variable = _VARIABLE.match(word) if before in ("-e", "--env") or word.startswith("-") else None
    if variable and variable[1] == "PYTHONPATH":
        return "set PYTHONPATH: the template decides that"
    if variable and variable[1] in SECRETS:
        return f"hold {variable[1]}, which docker inspect would show: set it in the environment instead"
    return None
