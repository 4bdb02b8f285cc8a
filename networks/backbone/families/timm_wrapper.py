"""What transformers wraps of timm, and timm's own checkpoints: timm's class, or TAO's that extends it, itself.

timm is asked how it would build the architecture: it goes as far as calling the class, and there it is stopped.
"""

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

from families.common import pair, require
from families.network import Call, Name, Network, NotTheSame

MODEL_TYPES = ("timm_wrapper",)

_TAO = {
    "timm.models.hiera.Hiera": "nvidia_tao_pytorch.cv.backbone_v2.hiera.Hiera",
    "timm.models.resnet.ResNet": "nvidia_tao_pytorch.cv.backbone_v2.resnet.ResNet",
    "timm.models.vision_transformer.VisionTransformer": "nvidia_tao_pytorch.cv.backbone_v2.vit.VisionTransformer",
}
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
    """What a call returned, and the call."""

    call: Call


def reuse(config: Any) -> Network:
    """Return TAO's class that extends the one timm builds the architecture from."""
    network = timm(config)
    require(network.base in _TAO, f"TAO does not extend {network.base}")
    return dataclasses.replace(network, base=_TAO[network.base])


def timm(config: Any) -> Network:
    """Return the class that timm builds the architecture from, and the arguments."""
    base, arguments = _found(str(config.architecture), dict(config.model_args or {}))
    arguments = {key: value for key, value in arguments.items() if key not in _PASSED}
    size = arguments.pop("img_size", None)
    any_size = size is not None and arguments.get("dynamic_img_size") and pair(size) == _default_size(base)
    for key in arguments:
        require(key.isidentifier() and not keyword.iskeyword(key), "its arguments have names that Python has not")
    return Network(
        base=_path(base),
        arguments={key: _expressed(value) for key, value in arguments.items()},
        rules=(("{tensor}", "{tensor}", ""),),
        spellings=((r"^timm_model\.", ""),),
        sized=size is not None and not any_size,
    )


def _default_size(base: type) -> list[int] | None:
    """Return the image size of a class that is not told one."""
    parameter = inspect.signature(base).parameters.get("img_size")
    return pair(parameter.default) if parameter and parameter.default else None


def _found(architecture: str, extra: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    """Return the class of an architecture and what timm passes it.

    Args:
        architecture: timm's name of it.
        extra: further arguments, as the configuration has them.
    """
    from timm.models import create_model, is_model, split_model_name_tag

    require(is_model(split_model_name_tag(architecture)[0]), "this timm does not know the architecture")
    for key in _NOT_OF_THE_MODEL:
        require(key not in extra, f"its arguments set {key}")
    classes: list[Any] = []
    try:
        with _watched(classes):
            create_model(architecture, pretrained=False, **extra)
    except _Stopped as stopped:
        require(isinstance(classes[-1], type), "timm builds it by a function")
        return classes[-1], stopped.arguments
    except NotTheSame:
        raise
    except Exception as error:
        raise NotTheSame(f"timm cannot build it: {type(error).__name__}") from error
    raise NotTheSame("timm builds it in a way of its own")


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
        require(not kwargs.get("pruned"), "timm prunes it after it was built")
        classes.append(model_cls)
        return build(stop, *args, **kwargs)

    def watched_decode(*args: Any, **kwargs: Any) -> _Decoded:
        decoded = _Decoded(decode(*args, **kwargs))
        decoded.call = Call(_DECODER, tuple(map(_expressed, args)), {key: _expressed(kwargs[key]) for key in kwargs})
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


def _expressed(value: Any) -> Any:
    """Return a value in terms that a file can be written from.

    Raises:
        NotTheSame: it has none.
    """
    if isinstance(value, _Decoded):
        return value.call
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, functools.partial):
        kwargs = {key: _expressed(item) for key, item in value.keywords.items()}
        return Call("functools.partial", (Name(_path(value.func)), *map(_expressed, value.args)), kwargs)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Call(_path(type(value)), kwargs={key: _expressed(item) for key, item in _changed(value).items()})
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _expressed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_expressed(item) for item in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return Name(_path(value))
    raise NotTheSame(f"timm builds it from a {type(value).__name__}, which cannot be written down")


def _changed(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are not what they are by default."""
    found = {}
    for field in dataclasses.fields(value):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if (item := getattr(value, field.name)) is not default and item != default:
            found[field.name] = item
    return found


def _path(value: Any) -> str:
    """Return where a class or function is imported from, by its public name if it has one.

    Raises:
        NotTheSame: it cannot be imported.
    """
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    for public in _PUBLIC:
        if module.startswith(public) and getattr(importlib.import_module(public), name, None) is value:
            return f"{public}.{name}"
    require(
        module in sys.modules and getattr(sys.modules[module], name, None) is value,
        f"timm builds it from {name or 'something'}, which cannot be imported",
    )
    return f"{module}.{name}"
