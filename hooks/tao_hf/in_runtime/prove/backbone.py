"""One strategy against one model: convert into the file that would be generated, compare, measure."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import Any

import torch

from tao_hf.in_runtime.probe.common import first_line
from tao_hf.in_runtime.probe.onnx_check import enliven, fitting_pictures, shortened, try_exporters
from tao_hf.in_runtime.prove import anatomy
from tao_hf.in_runtime.prove.gradients import leaves_out
from tao_hf.in_runtime.prove.rendered import Files, evaluated, start
from tao_hf.in_runtime.prove.subject import CLASSES, Subject, Uninitialized, export_of_inspection
from tao_hf.in_runtime.prove.verdict import BATCH, TOLERANCE, FellThrough


def prove_strategy(
    strategy: str, subject: Subject, registered: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prove one strategy.

    Args:
        strategy: "reuse", "timm" or "hf".
        subject: the Hugging Face model.
        registered: files of backbone_v2 that register backbones.

    Returns:
        What was measured of the backbone, which it is rendered from, and the proof's figures: ``difference`` (largest,
        of the largest logit) and ``sizes`` (those at which it holds).

    Raises:
        FellThrough: the strategy does not give this model's outputs, or cannot be exported.
    """
    measured = start(strategy, subject.config, registered)
    files = Files(strategy, measured, subject.findings)
    if subject.findings["preprocess"].get("channel_order") == "BGR" and strategy != "hf":
        measured["bgr_stem"] = _first_convolution(_built(files, subject, subject.size))
        files = Files(strategy, measured, subject.findings)
    native = _built(files, subject, subject.size)
    state, _, kept = _converted(files, subject, native)
    worst = _difference(native, state, kept, subject, subject.size)
    if not worst <= TOLERANCE:
        raise FellThrough(f"its logits differ from the Hugging Face model's by {worst:.1e} of the largest")
    differences = {tuple(subject.size): worst}
    if subject.other_size:
        try:
            other = _built(files, subject, subject.other_size)
            differences[tuple(subject.other_size)] = _difference(other, state, kept, subject, subject.other_size)
        except FellThrough:
            differences[tuple(subject.other_size)] = math.inf
    held = [list(size) for size, difference in differences.items() if difference <= TOLERANCE]
    measured |= _measured(files, native, subject, strategy)
    measured["unused_parameters"] = leaves_out(native, [native(subject.images(subject.size))])
    if strategy != "hf":
        variants = evaluated(strategy, measured)["variants"]
        measured["variants"] = _variants(files, variants, measured, subject.size)
    measured["other_size"] = subject.other_size if subject.other_size in held else None
    measured["onnx"] = _exported(strategy, subject, registered)
    return measured, {"difference": max(differences[tuple(size)] for size in held), "sizes": held}


def _built(files: Files, subject: Subject, size: list[int]) -> Any:
    try:
        with Uninitialized():
            return files.build(subject.config.num_labels, size)
    except Exception as error:
        raise FellThrough(f"it cannot be built for {size[0]}x{size[1]} pixels: {first_line(error)}") from error


def _converted(files: Files, subject: Subject, backbone: Any) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    try:
        return files.convert_state(subject.model.state_dict(), backbone)
    except ValueError as error:
        raise FellThrough(first_line(error, 400)) from error


def _difference(backbone: Any, state: dict[str, Any], kept: dict[str, str], subject: Subject, size: list[int]) -> float:
    """Return the largest difference of a logit, as a part of the largest logit."""
    if hasattr(backbone, "adapt_state_dict"):
        state = backbone.adapt_state_dict(state)
    own = backbone.state_dict()
    try:
        backbone.load_state_dict({**{name: own[name] for name in kept if name in own}, **state}, strict=True)
        with torch.no_grad():
            logits = backbone.eval()(subject.images(size))
    except Exception as error:
        raise FellThrough(f"it does not run on {size[0]}x{size[1]} pixels: {first_line(error)}") from error
    expected = subject.logits(size)
    if logits.shape != expected.shape:
        raise FellThrough(f"it gives logits of shape {list(logits.shape)} instead of {list(expected.shape)}")
    if not expected.any():
        raise FellThrough("all logits of the Hugging Face model are 0, which proves nothing")
    return float((logits - expected).abs().max() / expected.abs().max())


def _measured(files: Files, backbone: Any, subject: Subject, strategy: str) -> dict[str, Any]:
    """Return what the templates need to know of a backbone beyond its network."""
    images = subject.images(subject.size)[:1]
    head = _head(files, subject)
    if head is None:
        raise FellThrough("it has no linear layer whose size is the number of classes")
    with torch.no_grad():
        parts = anatomy.look(backbone, lambda: backbone(images), subject.size, head["modules"])
        return {
            "head": head,
            "feature_dim": head["width"],
            **parts,
            "norms": any(map(_has_own_way_to_freeze, backbone.modules())),
            "pre_logits": _pre_logits(files, backbone, images, head["modules"][0], strategy),
            "checkpointing": _can_checkpoint(backbone),
        }


def _variants(
    files: Files, variants: dict[str, Any], measured: dict[str, Any], size: list[int]
) -> list[dict[str, Any]]:
    """Return the other sizes of the family that have the same parts, each measured without memory."""
    found = []
    for name, arguments in variants.items():
        try:
            with torch.device("meta"):
                backbone = files.make(arguments, CLASSES, size)
                images = torch.zeros(BATCH, files.channels, *size)
                parts = anatomy.look(backbone, partial(backbone, images), size, measured["head"]["modules"])
            head = backbone.get_submodule(measured["head"]["modules"][0])
            width = head.in_features if measured["head"]["kind"] == "Linear" else head.in_channels
        except Exception:  # noqa: S112 - one that cannot be measured is not offered
            continue
        same_taps = [tap["module"] for tap in parts["taps"]] == [tap["module"] for tap in measured["taps"]]
        if same_taps and parts["stages"] == measured["stages"]:
            found.append({"name": name, "feature_dim": width})
    return found


def _head(files: Files, subject: Subject) -> dict[str, Any] | None:
    def on_meta(classes: int) -> Any:
        with torch.device("meta"):
            return files.build(classes, subject.size)

    def in_memory(classes: int) -> Any:
        return files.build(classes, subject.size)

    try:
        return anatomy.head_modules(on_meta, subject.config.num_labels)
    except Exception:  # some networks read numbers from tensors while they are built
        return anatomy.head_modules(in_memory, subject.config.num_labels)


def _pre_logits(files: Files, backbone: Any, images: Any, head: str, strategy: str) -> str:
    """Return which code gives what enters the head: the base's own, timm's two functions, or a hook on the head."""
    entered = []
    handle = backbone.get_submodule(head).register_forward_pre_hook(lambda _, args: entered.append(args[0].flatten(1)))
    backbone(images)
    handle.remove()

    def inherited() -> Any:
        return backbone.forward_pre_logits(images)

    def forward_head() -> Any:
        return backbone.forward_head(backbone.forward_features(images), pre_logits=True)

    way = inherited if strategy == "reuse" else forward_head
    with contextlib.suppress(Exception):  # it has no such function, or one for something else
        if torch.equal(way(), entered[0]):
            return way.__name__
    if strategy == "reuse":  # TAO's forward calls it, so that one that calls forward would never end
        raise FellThrough("its forward_pre_logits does not return what enters the head")
    return "hook"


def _has_own_way_to_freeze(module: Any) -> bool:
    """Tell whether TAO's frozen batch norm, with its own epsilon and without an activation, would not do the same."""
    plain = type(module) is torch.nn.BatchNorm2d and module.eps == 1e-5
    return isinstance(module, torch.nn.BatchNorm2d) and not plain


def _can_checkpoint(backbone: Any) -> bool:
    try:
        backbone.set_grad_checkpointing(True)
        backbone.set_grad_checkpointing(False)
    except Exception:
        return False
    return True


def _first_convolution(backbone: Any) -> str:
    return next(
        f"{path}.weight" for path, module in backbone.named_modules() if isinstance(module, torch.nn.Conv2d)
    )


def _exported(strategy: str, subject: Subject, registered: list[str] | None) -> dict[str, Any]:
    """Return the `onnx` entry of the backbone: of a small twin, or what the inspection found of the Hugging Face model.

    Raises:
        FellThrough: no exporter takes it.
    """
    if strategy == "hf":
        return export_of_inspection(subject)
    images = subject.images(subject.size)
    for config in (shortened(subject.config), subject.config):
        try:
            twin = Files(strategy, start(strategy, config, registered), subject.findings).build(CLASSES, subject.size)
            break
        except Exception:  # noqa: S112 - not every architecture can be shortened this way
            continue
    with torch.no_grad():
        enliven(twin, fitting_pictures(images.shape[1], subject.size))
    found = try_exporters(twin, images[:1], images, subject.task_outputs, subject.about["onnx_outputs"])
    if not found["ok"]:
        raise FellThrough(f"it cannot be exported to ONNX: {found['error']}")
    del found["engine"]["seconds"]  # the answers hold it, which are the same when the same is proved again
    return found
