"""One strategy against one model: convert into the file that would be generated, compare, measure."""

from __future__ import annotations

import contextlib
import inspect
import math
from functools import partial
from pathlib import Path
from typing import Any

import probe_room
import prove_anatomy
import torch
from probe_common import first_line, set_classes
from probe_onnx import enliven, shortened, try_exporters
from prove import BATCH, TOLERANCE, FellThrough
from prove_families import Files, find_network, first_plan, pairs
from torch.overrides import TorchFunctionMode

_CLASSES = 7  # of a network that is proven with random weights


class Subject:
    """The Hugging Face model, with random weights unless its own are at hand, and its logits on random images.

    Attributes:
        findings: the findings of the inspection.
        config: transformers' configuration of it.
        model: the model, in eval mode.
        room: what the task says of the outputs; see `probe_room`.
        size: its own [height, width] in pixels.
        other_size: another one that it takes, or None.
        interpolates: it must be told to interpolate its position embeddings.
        has_own_weights: the weights are those of the model's checkpoint.
    """

    def __init__(self, findings: dict[str, Any], weights: str | None = None) -> None:
        """Build the model and run it.

        Args:
            findings: the findings of the inspection.
            weights: a directory with the model's checkpoint; None for random weights.

        Raises:
            FellThrough: the model does not run.
        """
        import transformers

        self.findings = findings
        self.room = probe_room.load(findings["task_type"])
        self.size = list(findings["image_size"])
        self.config = _config(findings, None if weights else _CLASSES)
        cls = getattr(transformers, findings["model_class"])
        torch.manual_seed(0)
        self.has_own_weights = False
        if weights:
            with contextlib.suppress(Exception):  # transformers says in many ways that a checkpoint does not fit
                self.model = cls.from_pretrained(weights, config=self.config).float()
                self.has_own_weights = True
        if not self.has_own_weights:
            self.config = _config(findings, _CLASSES)
            self.model = cls(self.config)
        self.model.eval()
        self.interpolates = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        self._outputs: dict[tuple[int, ...], tuple[Any, ...]] = {}
        try:
            if not self.has_own_weights:
                with torch.no_grad():
                    enliven(_Runner(self), self.images(self.size))
            self.outputs(self.size)
        except Exception as error:
            raise FellThrough(
                f"the Hugging Face model does not run on {self.size[0]}x{self.size[1]} pixels: {first_line(error)}"
            ) from error
        self.other_size = self._find_other_size()

    def images(self, size: list[int]) -> Any:
        """Return random RGB images (N, C, H, W), the same ones for a size every time."""
        return torch.randn(BATCH, self.findings["channels"], *size, generator=torch.Generator().manual_seed(1))

    def run(self, images: Any, model: Any = None) -> tuple[Any, ...]:
        """Return the task's tensors for RGB images, by another model than the subject's own if there is one."""
        kwargs = {}
        if self.interpolates and list(images.shape[-2:]) != self.size:
            kwargs["interpolate_pos_encoding"] = True
        if self.findings["preprocess"].get("channel_order") == "BGR":
            images = images.flip(1)
        return self.room.run(model or self.model, images, **kwargs)

    def outputs(self, size: list[int]) -> tuple[Any, ...]:
        """Return the task's tensors for the images of a size."""
        if tuple(size) not in self._outputs:
            with torch.no_grad():
                self._outputs[tuple(size)] = self.run(self.images(size), self._fresh() if self._outputs else None)
        return self._outputs[tuple(size)]

    def logits(self, size: list[int]) -> Any:
        """Return the first of the task's tensors for the images of a size."""
        return self.outputs(size)[0]

    def _fresh(self) -> Any:
        """Return the model as it was before it ran: some architectures adapt to the first size that they see."""
        with Uninitialized():
            model = type(self.model)(self.config)
        model.load_state_dict(self.model.state_dict())
        return model.eval()

    def _find_other_size(self) -> list[int] | None:
        """Return a size that the model takes besides its own: not square, else square; None when neither works."""
        patch = self.findings.get("patch_size") or 1
        height, width = self.size
        step = 32 if height % patch or width % patch else math.lcm(32, patch)
        for size in ([height + step, width + 2 * step], [height + 64, width + 64]):
            try:
                if self.logits(size).shape[:2] == self.logits(self.size).shape[:2]:
                    return size
            except Exception:  # noqa: S112 - whatever an architecture raises: it does not take this size
                continue
        return None


def _Runner(subject: Subject) -> Any:  # noqa: N802 - a module around the model, for those who call one with images
    class Runner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = subject.model

        def forward(self, images: Any) -> Any:
            return subject.run(images)

    return Runner()


def _config(findings: dict[str, Any], classes: int | None) -> Any:
    from transformers import AutoConfig

    fields = {key: value for key, value in findings["config"].items() if key != "model_type"}
    config = AutoConfig.for_model(findings["model_type"], **fields)
    config.num_labels = findings["num_labels"]
    set_classes(config, classes or findings["num_labels"])
    config.architectures = [findings["model_class"]]
    return config


def prove_strategy(
    root: Path, strategy: str, subject: Subject, registered: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prove one strategy.

    Args:
        root: the template.
        strategy: "reuse", "timm" or "hf".
        subject: the Hugging Face model.
        registered: files of backbone_v2 that register backbones.

    Returns:
        What the backbone is rendered from, and the proof's figures: ``difference`` (largest, of the largest logit) and
        ``sizes`` (those at which it holds).

    Raises:
        FellThrough: the strategy does not give this model's outputs, or cannot be exported.
    """
    network = find_network(strategy, subject.config, registered) if strategy != "hf" else None
    plan = first_plan(network, strategy)
    files = Files(root, strategy, plan, subject.findings)
    if subject.findings["preprocess"].get("channel_order") == "BGR" and network:
        plan["bgr_stem"] = _first_convolution(_built(files, subject, subject.size))
        files = Files(root, strategy, plan, subject.findings)
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
    plan.update(_measured(files, native, subject, strategy))
    if network:
        plan["variants"] += _variants(files, network, plan, subject.size)
    plan["other_size"] = subject.other_size if subject.other_size in held else None
    plan["onnx"] = _exported(root, strategy, subject, registered)
    return plan, {"difference": max(differences[tuple(size)] for size in held), "sizes": held}


class Uninitialized(TorchFunctionMode):
    """Leaves out drawing random numbers: weights that are loaded at once need none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, unless it draws random numbers."""
        kwargs = kwargs or {}
        if func.__name__ in ("uniform_", "normal_", "erfinv_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


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
            logits = backbone(subject.images(size))
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
        anatomy = prove_anatomy.look(backbone, lambda: backbone(images), subject.size, head["modules"])
        return {
            "head": head,
            "feature_dim": head["width"],
            **anatomy,
            "norms": any(map(_has_own_way_to_freeze, backbone.modules())),
            "pre_logits": _pre_logits(files, backbone, images, head["modules"][0], strategy),
            "checkpointing": _can_checkpoint(backbone),
        }


def _variants(files: Files, network: Any, plan: dict[str, Any], size: list[int]) -> list[dict[str, Any]]:
    """Return the other sizes of the family that have the same parts, each measured without memory."""
    found = []
    for name, changes in network.variants.items():
        arguments = {**network.arguments, **changes}
        try:
            with torch.device("meta"):
                backbone = files.make(arguments, _CLASSES, size)
                images = torch.zeros(BATCH, files.channels, *size)
                parts = prove_anatomy.look(backbone, partial(backbone, images), size, plan["head"]["modules"])
            head = backbone.get_submodule(plan["head"]["modules"][0])
            width = head.in_features if plan["head"]["kind"] == "Linear" else head.in_channels
        except Exception:  # noqa: S112 - one that cannot be measured is not offered
            continue
        same_taps = [tap["module"] for tap in parts["taps"]] == [tap["module"] for tap in plan["taps"]]
        if same_taps and parts["stages"] == plan["stages"]:
            entry = {"suffix": f"_{name}", "name": name, "arguments": pairs(arguments), "feature_dim": width}
            found.append(entry)
    return found


def _head(files: Files, subject: Subject) -> dict[str, Any] | None:
    def on_meta(classes: int) -> Any:
        with torch.device("meta"):
            return files.build(classes, subject.size)

    def in_memory(classes: int) -> Any:
        return files.build(classes, subject.size)

    try:
        return prove_anatomy.head_modules(on_meta, subject.config.num_labels)
    except Exception:  # some networks read numbers from tensors while they are built
        return prove_anatomy.head_modules(in_memory, subject.config.num_labels)


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


def _exported(root: Path, strategy: str, subject: Subject, registered: list[str] | None) -> dict[str, Any]:
    """Return the `onnx` entry of the backbone: of a small twin, or what the inspection found of the Hugging Face model.

    Raises:
        FellThrough: no exporter takes it.
    """
    if strategy == "hf":
        return export_of_inspection(subject)
    images = subject.images(subject.size)
    for config in (shortened(subject.config), subject.config):
        try:
            plan = first_plan(find_network(strategy, config, registered), strategy)
            twin = Files(root, strategy, plan, subject.findings).build(_CLASSES, subject.size)
            break
        except Exception:  # noqa: S112 - not every architecture can be shortened this way
            continue
    with torch.no_grad():
        enliven(twin, images)
    found = try_exporters(twin, images[:1], images, subject.room)
    if not found["ok"]:
        raise FellThrough(f"it cannot be exported to ONNX: {found['error']}")
    return found


def export_of_inspection(subject: Subject) -> dict[str, Any]:
    """Return the `onnx` entry of the findings.

    Raises:
        FellThrough: no exporter takes the Hugging Face model.
    """
    found = subject.findings["onnx"]
    if not found["ok"]:
        raise FellThrough(f"it cannot be exported to ONNX: {found['error'] or found['failing_op']}")
    return found
