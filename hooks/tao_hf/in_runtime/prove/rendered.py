"""Finds what the families say of a model, renders the files of a strategy for it, and imports them."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
from typing import Any

import families
from families.network import Call, Name, Network, NotTheSame

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime.probe.common import first_line
from tao_hf.in_runtime.prove.verdict import FellThrough
from tao_hf.rendering import environment, layers, python_source
from tao_hf.rendering.literals import in_order

_RENDERED = ("base", "rules", "spellings", "sized", "positions", "imports", "setup", "methods")
_BACKBONE = "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/hf_{{model_name}}.py"
_CONVERTER = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/hf_checkpoint_converter.py"
_PLACEHOLDER = {"modules": ["head"], "kind": "Linear", "width": 0}


def find_network(strategy: str, config: Any, registered: list[str] | None) -> Network:
    """Return what a model's family says is the same network.

    Args:
        strategy: "reuse" or "timm".
        config: the model's transformers configuration.
        registered: files of backbone_v2 that register backbones; None where nobody looked.

    Raises:
        FellThrough: no family knows it, its configuration is not covered, or the implementation is not there.
    """
    for entry in pkgutil.iter_modules(families.__path__):
        family = importlib.import_module(f"families.{entry.name}")
        if config.model_type in getattr(family, "MODEL_TYPES", ()):
            break
    else:
        raise FellThrough(f"no family of this template knows {config.model_type}")
    find = getattr(family, strategy, None)
    if find is None:
        raise FellThrough(f"{'TAO' if strategy == 'reuse' else 'timm'} has no {config.model_type}")
    try:
        network = find(config)
    except NotTheSame as reason:
        raise FellThrough(str(reason)) from reason
    except Exception as error:  # a configuration that the family did not expect
        raise FellThrough(f"its configuration cannot be read: {first_line(error)}") from error
    module = network.base.rpartition(".")[0]
    file = f"{module.rpartition('.')[2]}.py"
    if strategy == "reuse" and registered is not None and file not in registered:
        raise FellThrough(f"this tao-pytorch registers no backbone in backbone_v2/{file}")
    try:
        getattr(importlib.import_module(module), network.base.rpartition(".")[2])
    except Exception as error:
        raise FellThrough(f"{network.base} cannot be imported: {first_line(error)}") from error
    return network


def as_json(value: Any) -> Any:
    """Return a family's arguments as JSON: see `tao_hf.pycode`."""
    if isinstance(value, Name):
        return {python_source.NAME: value.path}
    if isinstance(value, Call):
        args = [as_json(item) for item in value.args]
        return {python_source.CALL: value.path, "args": args, "kwargs": pairs(value.kwargs)}
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {python_source.TUPLE: [as_json(item) for item in value]}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def pairs(arguments: dict[str, Any]) -> list[list[Any]]:
    """Return arguments as JSON that keeps their order, which an answers file does not."""
    return [[name, as_json(value)] for name, value in arguments.items()]


def first_plan(network: Network | None, strategy: str) -> dict[str, Any]:
    """Return a plan with nothing measured yet, from which the files can be rendered and imported."""
    own = []
    if network:
        own = [{"suffix": "", "name": "", "arguments": pairs(network.arguments), "feature_dim": 0}]
    return {
        "network": {name: getattr(network, name) for name in _RENDERED} if network else None,
        "variants": own,
        "head": _PLACEHOLDER,
        "feature_dim": 0,
        "stages": [],
        "taps": [],
        "norms": False,
        "pre_logits": "inherited" if strategy == "reuse" else "hook",
        "checkpointing": True,
        "bgr_stem": None,
    }


class Files:
    """The rendered backbone and converter of one strategy for one model, imported.

    Attributes:
        build: makes the backbone: `build(num_classes, size)`.
        convert_state: the converter's function.
        backbone_class: the class.
    """

    _count = 0

    def __init__(self, strategy: str, plan: dict[str, Any], findings: dict[str, Any]) -> None:
        """Render and import.

        Raises:
            FellThrough: what was rendered cannot be imported.
        """
        Files._count += 1
        kind = f"proof_{Files._count}"
        names = {**names_of(findings), "backbone": plan, "backbone_type": kind}
        stack = layers.layers_of(TEMPLATE, "backbone", strategy, findings["task_type"].replace("-", "_"))
        backbone = imported(kind, render(stack, _BACKBONE, names))
        converter = imported(f"{kind}_converter", render(stack, _CONVERTER, names))
        self.convert_state = converter.convert_state
        self.backbone_class = backbone.ProofBackbone
        self.channels = findings["channels"]
        self._factory = getattr(backbone, kind)

    def build(self, num_classes: int, size: list[int], **options: Any) -> Any:
        """Return the backbone for [height, width] in pixels, in eval mode."""
        return self._factory(num_classes=num_classes, img_size=size, **options).eval()


    def make(self, arguments: dict[str, Any], num_classes: int, size: list[int]) -> Any:
        """Return a backbone of the class with other arguments than the model's, in eval mode.

        The arguments are evaluated anew each time: timm's builders change what they are given.
        """
        return self.backbone_class(num_classes=num_classes, img_size=size, **evaluated(arguments)).eval()


def evaluated(value: Any) -> Any:
    """Return a family's arguments as Python objects: names imported, calls made."""
    if isinstance(value, Name):
        module, _, name = value.path.rpartition(".")
        return getattr(importlib.import_module(module), name)
    if isinstance(value, Call):
        kwargs = {key: evaluated(item) for key, item in value.kwargs.items()}
        return evaluated(Name(value.path))(*map(evaluated, value.args), **kwargs)
    if isinstance(value, dict):
        return {key: evaluated(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(evaluated, value))
    return value


def names_of(findings: dict[str, Any]) -> dict[str, Any]:
    """Return what templates of a network see of a model, under the name Proof."""
    return {
        "findings": findings,
        "class_name": "Proof",
        "num_labels": findings["num_labels"],
        "channels": findings["channels"],
        "height": findings["image_size"][0],
        "width": findings["image_size"][1],
        "model_class": findings["model_class"],
        "hf_config": in_order({key: value for key, value in findings["config"].items() if key != "model_type"}),
        "bgr": findings["preprocess"].get("channel_order") == "BGR",
    }


def render(stack: tuple[str, ...], path: str, names: dict[str, Any]) -> str:
    """Return a generated file as Copier would render it.

    Args:
        stack: the model's layers; see `tao_hf.rendering.layers`.
        path: the file in the working directory, with the placeholder for the model's name.
        names: what templates see.
    """
    return environment.make(TEMPLATE).get_template(layers.source(TEMPLATE, stack, path)).render(names)


def imported(name: str, source: str) -> types.ModuleType:
    """Return rendered source as a module.

    Raises:
        FellThrough: it cannot be imported.
    """
    module = types.ModuleType(name)
    sys.modules[name] = module  # where torch.compile and pickle look
    try:
        exec(compile(source, f"<{name}.py>", "exec"), module.__dict__)  # noqa: S102 - what the templates rendered
    except Exception as error:
        raise FellThrough(f"the generated file cannot be imported: {first_line(error)}") from error
    return module
