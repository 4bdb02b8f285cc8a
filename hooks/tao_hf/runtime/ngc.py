"""The one registry that this package logs in to: NVIDIA's, for pulling."""

from __future__ import annotations

import os

from tao_hf.base.errors import UserError
from tao_hf.runtime import engine

REGISTRY = "nvcr.io"
KEY_VARIABLE = "NGC_KEY"
KEY_PAGE = "https://ngc.nvidia.com/setup/api-key"
_USER = "$oauthtoken"  # literally


def key() -> str:
    """Return the person's NGC API key from the environment, an empty string when there is none."""
    return os.environ.get(KEY_VARIABLE, "").strip()


def login() -> None:
    """Log Docker in with the key, which goes through standard input and into no argument.

    Raises:
        UserError: there is no key, or it was refused.
    """
    if not key():
        raise UserError(f"There is no {KEY_VARIABLE} in the environment; get a key at {KEY_PAGE}.")
    try:
        engine.run("login", REGISTRY, "--username", _USER, "--password-stdin", text=key())
    except engine.EngineError as error:
        reason = error.reason.replace(key(), "****")
        raise UserError(
            f"{REGISTRY} did not take the key in {KEY_VARIABLE} ({reason}); make a new one at {KEY_PAGE}."
        ) from None
