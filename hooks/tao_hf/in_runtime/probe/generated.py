"""Generated modules that the probe uses too, so that it measures what users will run."""

from __future__ import annotations

import types
from functools import cache
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.rendering import environment, layers


@cache
def module(path: str, **names: Any) -> types.ModuleType:
    """Return a generated module, imported.

    Args:
        path: of the file in the repositories, with the placeholder for the model's name.
        **names: what its template is rendered with; hashable.
    """
    template = environment.make(TEMPLATE).get_template(layers.source(TEMPLATE, ("template",), path))
    text = template.render(names)
    loaded = types.ModuleType(path.rpartition("/")[2].removesuffix(".py"))
    exec(compile(text, f"<{path}>", "exec"), loaded.__dict__)  # noqa: S102 - what the template rendered
    return loaded
