"""What the families say of a model: another implementation of its network, evaluated anew for every rendering.

A model's answers hold its configuration and what was measured. Arguments, conversion rules and methods come from the
families, so that a correction there reaches every model. Standard library only: the proof asks in the same way.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.base.text import one_line
from tao_hf.rendering.python_source import CALL, NAME, TUPLE

FAMILIES = TEMPLATE / "networks" / "backbone" / "families"
_PLAIN = ("base", "rules", "spellings", "sized", "positions", "imports", "setup", "methods")


class NotCovered(Exception):  # noqa: N818 - not an error: the next strategy is tried
    """The families have no other implementation for a configuration; the text says why, as half a sentence."""


class Configuration:
    """A recorded configuration, read as families read that of transformers: by its attributes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Keep the recorded values."""
        self._values = values

    def __getattr__(self, name: str) -> Any:
        """Return a value; a configuration inside this one can be read in the same way."""
        if name.startswith("__") or name not in self._values:
            raise AttributeError(f"the configuration has no {name}")
        value = self._values[name]
        return Configuration(value) if isinstance(value, Mapping) and "model_type" in value else value


def evaluate(strategy: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's family says is the same network, JSON-like.

    Args:
        strategy: "reuse" or "timm".
        configuration: The recorded configuration.

    Returns:
        The attributes of `families.network.Network` by name. ``arguments`` are [name, value] pairs, the values as
        `python_source.pycode` takes them; ``variants`` are such arguments, whole, by the names of the variants.

    Raises:
        NotCovered: No family knows the architecture, or its networks differ in this configuration.
    """
    model_type = configuration["model_type"]
    family = _family(model_type)
    find = getattr(family, strategy, None)
    if find is None:
        raise NotCovered(f"{'TAO' if strategy == 'reuse' else 'timm'} has no {one_line(model_type)}")
    try:
        found = find(Configuration(configuration))
    except _module("network").NotTheSame as reason:
        raise NotCovered(str(reason)) from reason
    except Exception as error:  # a configuration that the family did not expect
        raise NotCovered(f"its configuration cannot be read: {one_line(error) or type(error).__name__}") from error
    return {
        **{name: _as_json(_listed(getattr(found, name))) for name in _PLAIN},
        "arguments": _pairs(found.arguments),
        "variants": {name: _pairs({**found.arguments, **other}) for name, other in found.variants.items()},
    }


def backbone(strategy: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates call ``backbone``: what was measured of it, and its network.

    Args:
        strategy: "reuse", "timm" or "hf".
        measured: What was measured; its ``configuration`` is needed, and of its ``variants`` the names and widths.

    Returns:
        ``network`` (None for "hf") and ``variants`` besides: the model itself first, under no name, then those of its
        family that were measured.

    Raises:
        NotCovered: See `evaluate`.
    """
    if strategy == "hf":
        return {**measured, "network": None, "variants": []}
    network = evaluate(strategy, measured["configuration"])
    own = {"suffix": "", "name": "", "arguments": network["arguments"], "feature_dim": 0}
    others = [
        {**variant, "suffix": f"_{variant['name']}", "arguments": network["variants"][variant["name"]]}
        for variant in measured["variants"]
        if variant["name"] in network["variants"]
    ]
    return {**measured, "network": network, "variants": [own, *others]}


def model_types() -> list[str]:
    """Return the architectures that the families know."""
    return sorted(name for family in _all() for name in getattr(family, "MODEL_TYPES", ()))


def _family(model_type: str) -> ModuleType:
    for family in _all():
        if model_type in getattr(family, "MODEL_TYPES", ()):
            return family
    raise NotCovered(f"no family of this template knows {one_line(model_type)}")


def _all() -> list[ModuleType]:
    return [_module(entry.name) for entry in pkgutil.iter_modules([str(FAMILIES)])]


def _module(name: str) -> ModuleType:
    """Return a module of the package ``families`` of this version: during an update two versions share one process."""
    loaded = sys.modules.get("families")
    if loaded is None or list(loaded.__path__) != [str(FAMILIES)]:
        for other in [other for other in sys.modules if other.partition(".")[0] == "families"]:
            del sys.modules[other]
        spec = importlib.util.spec_from_file_location(
            "families", FAMILIES / "__init__.py", submodule_search_locations=[str(FAMILIES)]
        )
        sys.modules["families"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["families"])
    return importlib.import_module(f"families.{name}")


def _pairs(arguments: Mapping[str, Any]) -> list[list[Any]]:
    return [[name, _as_json(value)] for name, value in arguments.items()]


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def _as_json(value: Any) -> Any:
    """Return a value of a family as `python_source.pycode` takes it.

    Raises:
        NotCovered: A mapping, which strangers may have written, would pass for code.
    """
    terms = _module("network")
    if isinstance(value, terms.Name):
        return {NAME: value.path}
    if isinstance(value, terms.Call):
        return {CALL: value.path, "args": [_as_json(item) for item in value.args], "kwargs": _pairs(value.kwargs)}
    if isinstance(value, Mapping):
        if any(str(key).startswith("$") for key in value):
            raise NotCovered("its configuration has names that begin with a dollar sign")
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {TUPLE: [_as_json(item) for item in value]}
    return [_as_json(item) for item in value] if isinstance(value, list) else value
