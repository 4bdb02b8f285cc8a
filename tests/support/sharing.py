"""How the tests are shared among processes (pytest -n): by file, and all that need Docker in one of them."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, which share fixtures; those of the containers look for what others left."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("docker" if _needs_docker(item) else item.path.stem))
    items.sort(key=lambda item: not _needs_docker(item))  # the largest group first, beside all the others


def _needs_docker(item: pytest.Item) -> bool:
    return item.get_closest_marker("docker") is not None
