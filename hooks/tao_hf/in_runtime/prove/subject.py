"""The Hugging Face model that a proof is about."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tao_hf.base.paths import TEMPLATE
from tao_hf.in_runtime import task_code
from tao_hf.in_runtime.probe.common import first_line, set_classes
from tao_hf.in_runtime.probe.onnx_check import enliven
from tao_hf.in_runtime.prove.verdict import BATCH, TOLERANCE, FellThrough
from tao_hf.rendering import tasks

CLASSES = 7  # of a network that is proven with random weights
_TRIES = 3  # of giving weights an effect


class Subject:
    """The Hugging Face model, with random weights unless its own are at hand, and its logits on random images.

    Attributes:
        findings: the findings of the inspection.
        config: transformers' configuration of it.
        model: the model, in eval mode.
        about: what the task says of itself; see `tasks`.
        task_outputs: how the task reads and compares the outputs; see `task_code`.
        size: its own [height, width] in pixels.
        other_size: another one that it takes, or None.
        interpolates: it must be told to interpolate its position embeddings.
        has_own_weights: the weights are those of the model's checkpoint, and with them its outputs follow the images.
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
        self.about = tasks.task(TEMPLATE, findings["task_type"])
        self.task_outputs = task_code.load(findings["task_type"], "outputs")
        self.size = list(findings["image_size"])
        self.config = _config(findings, None if weights else CLASSES)
        cls = getattr(transformers, findings["model_class"])
        torch.manual_seed(0)
        self.has_own_weights = False
        if weights:
            with contextlib.suppress(Exception):  # transformers says in many ways that a checkpoint does not fit
                self.model = cls.from_pretrained(weights, config=self.config).float()
                self.has_own_weights = True
        if not self.has_own_weights:
            self.config = _config(findings, CLASSES)
            self.model = cls(self.config)
        self.model.eval()
        self.interpolates = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        self._outputs: dict[tuple[int, ...], tuple[Any, ...]] = {}
        try:
            self.has_own_weights = self.has_own_weights and self._follows_images()
            if not self.has_own_weights:
                self._enliven()
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
        return self.task_outputs.run(model or self.model, images, **kwargs)

    def outputs(self, size: list[int]) -> tuple[Any, ...]:
        """Return the task's tensors for the images of a size."""
        if tuple(size) not in self._outputs:
            with torch.no_grad():
                self._outputs[tuple(size)] = self.run(self.images(size), self._fresh() if self._outputs else None)
        return self._outputs[tuple(size)]

    def logits(self, size: list[int]) -> Any:
        """Return the first of the task's tensors for the images of a size."""
        return self.outputs(size)[0]

    def _enliven(self) -> None:
        """Give the weights an effect, again where once is not enough; an untrained checkpoint needs it too."""
        for _ in range(_TRIES):
            self._outputs.clear()
            with torch.no_grad():
                enliven(_Runner(self), self.images(self.size))
            if self._follows_images():
                break

    def _follows_images(self) -> bool:
        """Tell whether each of the task's tensors differs between two images: a proof on others shows nothing."""
        return all(
            bool((one - other).abs().max() > TOLERANCE * tensor.abs().max())
            for tensor in self.outputs(self.size)
            for one, other in [tensor[:2]]
        )

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

    # A copy, because transformers 4 takes the nested configurations apart.
    fields = copy.deepcopy({key: value for key, value in findings["config"].items() if key != "model_type"})
    config = AutoConfig.for_model(findings["model_type"], **fields)
    if findings["num_labels"]:  # else the task has no classes
        config.num_labels = findings["num_labels"]
        set_classes(config, classes or findings["num_labels"])
    config.architectures = [findings["model_class"]]
    return config


class Uninitialized(TorchFunctionMode):
    """Leaves out drawing random numbers: weights that are loaded at once need none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, unless it draws random numbers."""
        kwargs = kwargs or {}
        if func.__name__ in ("uniform_", "normal_", "erfinv_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def export_of_inspection(subject: Subject) -> dict[str, Any]:
    """Return the `onnx` entry of the findings.

    Raises:
        FellThrough: no exporter takes the Hugging Face model.
    """
    found = subject.findings["onnx"]
    if not found["ok"]:
        raise FellThrough(f"it cannot be exported to ONNX: {found['error'] or found['failing_op']}")
    return found
