"""How the tests are shared among processes (pytest -n): by file, and all files that need Docker to one of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import ROOT


class ByFile(LoadScopeScheduling):
    """A file's tests share fixtures; the tests of the containers look for what is left behind, so they run alone."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test, which one process runs."""
        file = nodeid.partition("::")[0]
        return "docker" if _marked("docker", ROOT / file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Return who hands the tests out, in the order of the list below."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the containers first, which are the largest group, and slow ones before the others."""
    items.sort(key=lambda item: (not _marked("docker", item.path), not _marked("slow", item.path)))


@cache
def _marked(mark: str, file: Path) -> bool:
    """Tell whether tests of a file bear a mark; who hands tests out knows no more of them than their names."""
    return f"mark.{mark}" in file.read_text(encoding="utf-8")
