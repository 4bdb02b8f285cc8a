"""The Jinja environment that generated files are rendered in: the same for Copier, the proof and the tests."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tao_hf.rendering import literals, python_source

# What Copier makes its environment with: `_envops` in copier.yml says the same.
SETTINGS = {"keep_trailing_newline": True, "trim_blocks": True, "lstrip_blocks": True}


def equip(environment: Environment) -> None:
    """Give an environment, made with `SETTINGS`, the filters that templates use."""
    environment.filters.update({**literals.FILTERS, **python_source.FILTERS})


def make(root: Path) -> Environment:
    """Return an environment that renders as Copier does; unknown names are errors.

    Args:
        root: Folder of the template.
    """
    environment = Environment(  # noqa: S701 - no HTML; untrusted text goes through filters
        loader=FileSystemLoader(root), undefined=StrictUndefined, **SETTINGS
    )
    equip(environment)
    return environment
