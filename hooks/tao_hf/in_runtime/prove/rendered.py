"""Renders the files of a strategy for a model as Copier would, and imports them."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime.probe.common import first_line
from tao_hf.in_runtime.prove.configuration import recorded
from tao_hf.in_runtime.prove.verdict import FellThrough
from tao_hf.rendering import environment, layers, network, tasks
from tao_hf.rendering.literals import configuration_fields
from tao_hf.rendering.python_source import CALL, NAME, TUPLE

_BACKBONE = "tao-pytorch/nvidia_tao_pytorch/cv/backbone_v2/hf_{{model_name}}.py"
_CONVERTER = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/hf_checkpoint_converter.py"
_TENSOR_NAMES = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/model/tensor_names.py"
PROOF = "proof"  # the name of the model that is rendered
_PLACEHOLDER = {"modules": ["head"], "kind": "Linear", "width": 0}


def start(strategy: str, config: Any, registered: list[str] | None) -> dict[str, Any]:
    """Return what is recorded of a strategy with nothing measured yet, from which its files can be rendered.

    Args:
        strategy: "reuse", "timm" or "hf".
        config: the model's transformers configuration.
        registered: files of backbone_v2 that register backbones; None where nobody looked.

    Raises:
        FellThrough: no family knows it, its configuration is not covered, or the implementation is not there.
    """
    measured = {
        "head": _PLACEHOLDER,
        "feature_dim": 0,
        "stages": [],
        "taps": [],
        "norms": False,
        "pre_logits": "inherited" if strategy == "reuse" else "hook",
        "checkpointing": True,
        "bgr_stem": None,
    }
    if strategy == "hf":
        return measured
    measured |= {"configuration": recorded(config), "variants": []}
    base = evaluated(strategy, measured)["base"]
    module = base.rpartition(".")[0]
    file = f"{module.rpartition('.')[2]}.py"
    if strategy == "reuse" and registered is not None and file not in registered:
        raise FellThrough(f"this tao-pytorch registers no backbone in backbone_v2/{file}")
    try:
        made({NAME: base})
    except Exception as error:
        raise FellThrough(f"{base} cannot be imported: {first_line(error)}") from error
    return measured


def evaluated(strategy: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the network of a recorded configuration; see `tao_hf.rendering.network`.

    Raises:
        FellThrough: the families do not cover it.
    """
    try:
        return network.evaluate(strategy, measured["configuration"])
    except network.NotCovered as reason:
        raise FellThrough(str(reason)) from reason


class Files:
    """The rendered backbone and converter of one strategy for one model, imported.

    Attributes:
        build: makes the backbone: `build(num_classes, size)`.
        convert_state: the converter's function.
        backbone_class: the class.
    """

    _count = 0

    def __init__(self, strategy: str, measured: dict[str, Any], findings: dict[str, Any]) -> None:
        """Render and import.

        Raises:
            FellThrough: what was rendered cannot be imported.
        """
        Files._count += 1
        kind = f"proof_{Files._count}"
        names = {**names_of(findings), "backbone": network.backbone(strategy, measured), "backbone_type": kind}
        stack = layers.layers_of(TEMPLATE, "backbone", strategy, *tasks.folders(TEMPLATE, findings["task_type"]))
        if strategy == "hf":
            import_tensor_names(stack, names)
        backbone = imported(kind, render(stack, _BACKBONE, names))
        converter = imported(f"{kind}_converter", render(stack, _CONVERTER, names))
        self.convert_state = converter.convert_state
        self.backbone_class = backbone.ProofBackbone
        self.channels = findings["channels"]
        self._factory = getattr(backbone, kind)

    def build(self, num_classes: int, size: list[int], **options: Any) -> Any:
        """Return the backbone for [height, width] in pixels, in eval mode."""
        return self._factory(num_classes=num_classes, img_size=size, **options).eval()

    def make(self, arguments: list[list[Any]], num_classes: int, size: list[int]) -> Any:
        """Return a backbone of the class with other arguments than the model's, in eval mode.

        The arguments are made anew each time: timm's builders change what they are given.
        """
        kwargs = {name: made(value) for name, value in arguments}
        return self.backbone_class(num_classes=num_classes, img_size=size, **kwargs).eval()


def made(value: Any) -> Any:
    """Return what an expression of `tao_hf.rendering.python_source` stands for: names imported, calls made."""
    if isinstance(value, list):
        return [made(item) for item in value]
    if not isinstance(value, dict):
        return value
    if NAME in value:
        module, _, name = value[NAME].rpartition(".")
        return getattr(importlib.import_module(module), name)
    if CALL in value:
        kwargs = {key: made(item) for key, item in value["kwargs"]}
        return made({NAME: value[CALL]})(*map(made, value["args"]), **kwargs)
    if TUPLE in value:
        return tuple(map(made, value[TUPLE]))
    return {key: made(item) for key, item in value.items()}


def names_of(findings: dict[str, Any]) -> dict[str, Any]:
    """Return what templates of a network see of a model, under the name Proof."""
    return {
        "findings": findings,
        "model_name": PROOF,
        "class_name": "Proof",
        "num_labels": findings["num_labels"],
        "channels": findings["channels"],
        "height": findings["image_size"][0],
        "width": findings["image_size"][1],
        "model_class": findings["model_class"],
        "hf_config": configuration_fields(findings["config"]),
        "bgr": findings["preprocess"].get("channel_order") == "BGR",
    }


def import_tensor_names(stack: tuple[str, ...], names: dict[str, Any]) -> None:
    """Import what a network that holds the Hugging Face model imports from beside it.

    Args:
        stack: the model's layers; see `tao_hf.rendering.layers`.
        names: what templates see.
    """
    path = _TENSOR_NAMES.replace("{{model_name}}", PROOF).removeprefix("tao-pytorch/").removesuffix(".py")
    imported(path.replace("/", "."), render(stack, _TENSOR_NAMES, names))


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
