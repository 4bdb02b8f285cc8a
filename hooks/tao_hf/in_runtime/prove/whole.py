"""The whole Hugging Face model as the network: held by the file that would be generated, compared, measured."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime.probe.common import class_lists, first_line
from tao_hf.in_runtime.probe.onnx_check import as_arrays
from tao_hf.in_runtime.prove.gradients import leaves_out
from tao_hf.in_runtime.prove.rendered import import_tensor_names, imported, names_of, render
from tao_hf.in_runtime.prove.subject import Subject, Uninitialized, export_of_inspection
from tao_hf.in_runtime.prove.verdict import TOLERANCE, FellThrough
from tao_hf.rendering import layers, tasks

_NETWORK = "tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/model/network.py"


def prove_whole(subject: Subject) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prove that the generated network gives the model's outputs.

    Args:
        subject: the Hugging Face model.

    Returns:
        What was measured of the model, which the network is rendered from, and the proof's figures: ``difference``
        (largest, of the largest output) and ``sizes`` (those at which it holds).

    Raises:
        FellThrough: it does not give this model's outputs, or cannot be exported.
    """
    model = subject.model
    measured = {
        "backbone": backbone_path(model),
        "interpolates": subject.interpolates and subject.other_size is not None,
        "frozen": _is_frozen(subject, backbone_path(model)),
        "checkpointing": _can_checkpoint(model),
        "downloads": "use_pretrained_backbone" in subject.findings["config"],
        "class_lists": class_lists(subject.config) if subject.about["classes"] else [],
        # A copy, because training steps change a model.
        **subject.task_outputs.measure(copy.deepcopy(model), subject.images(subject.size)),
    }
    measured["unused_parameters"] = _leaves_out(subject, measured)
    names = {**names_of(subject.findings), "measured": measured, "task": subject.about}
    stack = layers.layers_of(TEMPLATE, "whole", "hf", *tasks.folders(TEMPLATE, subject.findings["task_type"]))
    import_tensor_names(stack, names)
    network = imported("proof_network", render(stack, _NETWORK, names)).ProofNetwork
    differences = {}
    for size in filter(None, (subject.size, subject.other_size)):
        try:
            differences[tuple(size)] = _difference(network, measured, subject, size)
        except FellThrough:
            if size == subject.size:
                raise
            differences[tuple(size)] = math.inf
    worst = differences[tuple(subject.size)]
    if not worst <= TOLERANCE:
        raise FellThrough(f"its outputs differ from the Hugging Face model's by {worst:.1e} of the largest")
    held = [list(size) for size, difference in differences.items() if difference <= TOLERANCE]
    measured["other_size"] = subject.other_size if subject.other_size in held else None
    measured["onnx"] = export_of_inspection(subject)
    return measured, {"difference": max(differences[tuple(size)] for size in held), "sizes": held}


def backbone_path(model: Any) -> str:
    """Return where a Hugging Face model holds its feature extractor: what it calls so, else all but its heads."""
    paths = [path for path, _ in model.named_modules()]
    for path in paths:
        if f".{path}".endswith((".backbone", ".conv_encoder", ".pixel_level_module.encoder")) and path.count(".") <= 2:
            return path
    return model.base_model_prefix if model.base_model_prefix in paths else "layers"


def _is_frozen(subject: Subject, path: str) -> bool:
    """Tell whether a freshly built model does not train its feature extractor, as one that was loaded may."""
    with Uninitialized():
        fresh = type(subject.model)(subject.config)
    return not any(parameter.requires_grad for parameter in fresh.get_submodule(path).parameters())


def _leaves_out(subject: Subject, measured: dict[str, Any]) -> bool:
    """Tell whether some way to train the model leaves out parameters; the network trains those that were frozen too."""
    model = copy.deepcopy(subject.model).train().requires_grad_(True)
    return leaves_out(model, subject.task_outputs.losses(model, subject.images(subject.size), measured))


def _can_checkpoint(model: Any) -> bool:
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.gradient_checkpointing_disable()
    except Exception:
        return False
    return bool(model.supports_gradient_checkpointing)


def _difference(network: Any, measured: dict[str, Any], subject: Subject, size: list[int]) -> float:
    """Return the largest difference of an output, as a part of the largest one."""
    sized = {"img_size": size} if measured["interpolates"] else {}
    classes = {"num_classes": subject.config.num_labels} if subject.about["classes"] else {}
    try:
        with Uninitialized():
            built = network(**classes, **sized).eval()
        built.hf_model.load_state_dict(subject.model.state_dict(), strict=True)
        with torch.no_grad():
            got = built(subject.images(size))
    except Exception as error:
        raise FellThrough(f"it does not run on {size[0]}x{size[1]} pixels: {first_line(error)}") from error
    expected, got = as_arrays(subject.outputs(size)), as_arrays(got)
    if [array.shape for array in got] != [array.shape for array in expected]:
        raise FellThrough("its outputs are not of the shapes of the Hugging Face model's")
    difference, scale = subject.task_outputs.difference(expected, got)
    if not scale:
        raise FellThrough("all outputs of the Hugging Face model are 0, which proves nothing")
    return difference / scale
