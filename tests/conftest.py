"""What every test shares: the hooks on the path, and the one interpreter that has PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "hooks"))
sys.path.insert(0, str(ROOT / "tests"))

from tao_hf.base.errors import UserError  # noqa: E402
from tao_hf.runtime.kinds import get_runtime  # noqa: E402

pytest_plugins = ["docker_fixtures"]

settings.register_profile("default", max_examples=30, deadline=None)
settings.register_profile("all", max_examples=300, deadline=None)  # make test-all


@pytest.fixture(scope="session")
def runtime_python() -> Path:
    """Return the local runtime's interpreter, building the runtime first when there is none yet."""
    runtime = get_runtime("local")
    try:
        runtime.prepare()
    except UserError as error:
        pytest.fail(f"the local runtime cannot be built: {error}")
    return runtime.python
