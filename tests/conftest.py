"""What every test shares: the fixtures of tests/support, and the one interpreter that has PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tao_hf.base.errors import UserError
from tao_hf.runtime.kinds import get_runtime

pytest_plugins = [
    "tests.support.clones",
    "tests.support.containers",
    "tests.support.copies",
    "tests.support.memory",
    "tests.support.sharing",
    "tests.support.somebody",
    "tests.support.template_versions",
]

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
