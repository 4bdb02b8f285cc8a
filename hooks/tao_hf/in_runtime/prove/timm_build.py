"""What timm builds an architecture from: it goes as far as calling the class, and there it is stopped."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import keyword
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tao_hf.in_runtime.prove.verdict import FellThrough

_PASSED = ("num_classes", "in_chans")  # by the generated class itself
_NOT_OF_THE_MODEL = (  # what create_model takes itself, and what changes a model after it was built
    "cache_dir",
    "checkpoint_path",
    "exportable",
    "features_only",
    "no_jit",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_model_args",
    "pruned",
    "scriptable",
)
_PUBLIC = ("torch.nn", "timm.layers")  # where things are imported from that are defined deeper down
_DECODER = "timm.models._efficientnet_builder.decode_arch_def"


class _Stopped(Exception):  # noqa: N818 - not an error: the arguments were found
    """timm called the class of an architecture."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments


class _Decoded(list):
    """What a call returned, and the description of the call."""

    description: dict[str, Any]


def found(architecture: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Return what timm builds an architecture from.

    Args:
        architecture: timm's name of it.
        extra: further arguments, as the configuration has them.

    Returns:
        ``class``: its dotted path; ``arguments``: [name, value] pairs; ``sized``: whether it is told the image size.
        Values are as JSON has them; what JSON has not is {"object": dotted path}, {"made_by": dotted path, "args": [],
        "kwargs": pairs}, or {"mapping": pairs}.

    Raises:
        FellThrough: it cannot be said in these terms.
    """
    cls, arguments = _called(architecture, extra)
    arguments = {key: value for key, value in arguments.items() if key not in _PASSED}
    size = arguments.pop("img_size", None)
    any_size = size is not None and arguments.get("dynamic_img_size") and _pair(size) == _default_size(cls)
    for key in arguments:
        _require(key.isidentifier() and not keyword.iskeyword(key), "its arguments have names that Python has not")
    return {"class": _path(cls), "arguments": _described_pairs(arguments), "sized": size is not None and not any_size}


def _require(true: bool, why: str) -> None:
    if not true:
        raise FellThrough(why)


def _pair(value: Any) -> list[int]:
    return [int(value), int(value)] if isinstance(value, int) else [int(side) for side in value]


def _default_size(cls: type) -> list[int] | None:
    """Return the image size of a class that is not told one."""
    parameter = inspect.signature(cls).parameters.get("img_size")
    return _pair(parameter.default) if parameter and parameter.default else None


def _called(architecture: str, extra: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    """Return the class of an architecture and what timm passes it."""
    from timm.models import create_model, is_model, split_model_name_tag

    _require(is_model(split_model_name_tag(architecture)[0]), "this timm does not know the architecture")
    for key in _NOT_OF_THE_MODEL:
        _require(key not in extra, f"its arguments set {key}")
    classes: list[Any] = []
    try:
        with _watched(classes):
            create_model(architecture, pretrained=False, **extra)
    except _Stopped as stopped:
        _require(isinstance(classes[-1], type), "timm builds it by a function")
        return classes[-1], stopped.arguments
    except FellThrough:
        raise
    except Exception as error:
        raise FellThrough(f"timm cannot build it: {type(error).__name__}") from error
    raise FellThrough("timm builds it in a way of its own")


@contextmanager
def _watched(classes: list[Any]) -> Iterator[None]:
    """Let timm stop where it would call the class of an architecture, and remember block definitions as written.

    Args:
        classes: gets the class.

    Raises:
        _Stopped: from within, with the arguments.
    """
    from timm.models import _builder, _efficientnet_builder

    build, decode = _builder.build_model_with_cfg, _efficientnet_builder.decode_arch_def

    def stop(**arguments: Any) -> None:
        raise _Stopped(arguments)

    def watched_build(model_cls: Any, *args: Any, **kwargs: Any) -> Any:
        _require(not kwargs.get("pruned"), "timm prunes it after it was built")
        classes.append(model_cls)
        return build(stop, *args, **kwargs)

    def watched_decode(*args: Any, **kwargs: Any) -> _Decoded:
        decoded = _Decoded(decode(*args, **kwargs))
        decoded.description = _made(_DECODER, args, kwargs)
        return decoded

    replaced = []
    for module in [module for name, module in sys.modules.items() if name.startswith("timm.models")]:
        for name, old, new in (
            ("build_model_with_cfg", build, watched_build),
            ("decode_arch_def", decode, watched_decode),
        ):
            if vars(module).get(name) is old:
                replaced.append((module, name, old))
                setattr(module, name, new)
    try:
        yield
    finally:
        for module, name, old in replaced:
            setattr(module, name, old)


def _described(value: Any) -> Any:
    """Return a value in the terms of `found`.

    Raises:
        FellThrough: it has none.
    """
    if isinstance(value, _Decoded):
        return value.description
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, functools.partial):
        return _made("functools.partial", (value.func, *value.args), value.keywords)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _made(_path(type(value)), (), _changed(value))
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"mapping": _described_pairs(value)}
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return {"object": _path(value)}
    raise FellThrough(f"timm builds it from a {type(value).__name__}, which cannot be written down")


def _described_pairs(values: dict[str, Any]) -> list[list[Any]]:
    return [[key, _described(item)] for key, item in values.items()]


def _made(path: str, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"made_by": path, "args": [_described(item) for item in args], "kwargs": _described_pairs(kwargs)}


def _changed(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are not what they are by default."""
    changed = {}
    for field in dataclasses.fields(value):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if (item := getattr(value, field.name)) is not default and item != default:
            changed[field.name] = item
    return changed


def _path(value: Any) -> str:
    """Return where a class or function is imported from, by its public name if it has one.

    Raises:
        FellThrough: it cannot be imported.
    """
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    for public in _PUBLIC:
        if module.startswith(public) and getattr(importlib.import_module(public), name, None) is value:
            return f"{public}.{name}"
    _require(
        module in sys.modules and getattr(sys.modules[module], name, None) is value,
        f"timm builds it from {name or 'something'}, which cannot be imported",
    )
    return f"{module}.{name}"
