"""The kinds of runtime there are, and the choice between them."""

from __future__ import annotations

from pathlib import Path

from tao_hf.base.errors import UserError
from tao_hf.runtime import docker, local
from tao_hf.runtime.interface import Runtime

# Each module has `create(root) -> Runtime`, and `available() -> bool`, which tells whether `auto` may choose it.
KINDS = {"docker": docker, "local": local}


def get_runtime(kind: str = "auto", root: Path | None = None) -> Runtime:
    """Return the runtime of that kind: "local", "docker", or "auto" (docker where it is available, else local).

    Args:
        kind: "auto" or one of KINDS.
        root: the directory that commands work in, which containers see as /workspace: the working directory, or an
            inspection's scratch folder.

    Raises:
        UserError: there is no such kind.
    """
    if kind == "auto":
        kind = "docker" if docker.available() else "local"
    if kind not in KINDS:
        raise UserError(f"There is no runtime {kind!r}; choose {' or '.join(KINDS)}.")
    return KINDS[kind].create(root)
