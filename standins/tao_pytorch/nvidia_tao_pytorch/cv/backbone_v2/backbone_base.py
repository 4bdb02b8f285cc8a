# SPDX-License-Identifier: Apache-2.0

"""The class that all backbones extend."""

import abc

import torch
from timm.layers import trunc_normal_
from torch import nn

from nvidia_tao_pytorch.core.distributed.comm import get_global_rank
from nvidia_tao_pytorch.core.tlt_logging import logging
from nvidia_tao_pytorch.cv.backbone_v2.nn.norm import FrozenBatchNorm2d


class BackboneMeta(abc.ABCMeta, type):
    """Calls ``_post_init()`` once the outermost constructor is done, so that freezing sees every layer."""

    def __call__(cls, *args, **kwargs):
        """Construct, finish, return."""
        made = super().__call__(*args, **kwargs)
        made._post_init()
        return made


class BackboneBase(nn.Module, metaclass=BackboneMeta):
    """A backbone: pixels to features, and with its own head to class scores.

    Subclasses implement ``get_stage_dict``, ``get_classifier``, ``reset_classifier``, ``forward_pre_logits``,
    ``forward_feature_pyramid`` and ``forward``. One that extends another module too calls that one's
    constructor first.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        activation_checkpoint: bool = False,
        freeze_at: list[int | str] | None = None,
        freeze_norm: bool = False,
        export: bool = False,
    ):
        """Keep the settings.

        Args:
            in_chans: Channels of the image.
            num_classes: Classes of the head.
            activation_checkpoint: Recompute activations in the backward pass to save memory.
            freeze_at: Keys of the stages to freeze (see ``get_stage_dict``), or "all".
            freeze_norm: Replace batch normalization by a frozen one.
            export: The same, for export.

        Raises:
            ValueError: For a freeze_at that is neither a list of keys nor "all".
        """
        if not self._module_is_initialized:
            nn.Module.__init__(self)
        freeze_at = freeze_at or []
        if isinstance(freeze_at, str):
            if freeze_at != "all":
                raise ValueError(f"freeze_at is '{freeze_at}'; as a string it can only be 'all'.")
        else:
            freeze_at = list(freeze_at)
            if not all(isinstance(key, (int, str)) for key in freeze_at):
                raise ValueError(f"freeze_at is {freeze_at}; it must be a list of integers or strings.")
        self.in_chans = int(in_chans)
        self.num_classes = int(num_classes)
        self.activation_checkpoint = bool(activation_checkpoint)
        self.freeze_at = freeze_at
        self.freeze_norm = bool(freeze_norm)
        self.export = export

    @property
    def _module_is_initialized(self):
        """Whether another base class's constructor has made this a module."""
        return "_modules" in self.__dict__

    def _post_init(self):
        """Freeze what is to be frozen and set activation checkpointing."""
        self.freeze_backbone()
        if self.export:
            self._freeze_bn_norm(self)
        self.set_grad_checkpointing(self.activation_checkpoint)

    def _init_weights(self, m):
        """Initialise a convolution or linear layer: normal with deviation 0.02, bias zero."""
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            trunc_normal_(m.weight, std=0.02)
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Switch activation checkpointing; subclasses make it happen."""
        self.activation_checkpoint = enable

    @abc.abstractmethod
    def get_stage_dict(self) -> dict[int | str, nn.Module]:
        """Return the stages that can be frozen, by key."""

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that must not decay."""
        return set()

    def no_weight_decay_keywords(self) -> set[str]:
        """Return parts of names of parameters that must not decay."""
        return set()

    @abc.abstractmethod
    def get_classifier(self) -> nn.Module:
        """Return the head."""

    @abc.abstractmethod
    def reset_classifier(self, num_classes: int = 0, **kwargs):
        """Replace the head by a new one.

        Args:
            num_classes: Its classes; 0 for none.
            kwargs: For the subclass.
        """

    def _freeze_module(self, m: nn.Module):
        """Stop training a module: no gradients, evaluation mode."""
        for parameter in m.parameters():
            parameter.requires_grad = False
        m.eval()

    def _freeze_bn_norm(self, m: nn.Module):
        """Replace batch normalization in a module by a frozen one; return the module or its replacement."""
        if isinstance(m, nn.BatchNorm2d):
            return FrozenBatchNorm2d(m.num_features)
        for name, child in m.named_children():
            replaced = self._freeze_bn_norm(child)
            if replaced is not child:
                setattr(m, name, replaced)
        return m

    def freeze_backbone(self):
        """Freeze what ``freeze_norm`` and ``freeze_at`` name; unknown stages only cause a warning."""
        notes = []
        if self.freeze_norm:
            self._freeze_bn_norm(self)
            notes.append("All batch normalization layers are frozen.")
        if self.freeze_at == "all":
            self._freeze_module(self)
            notes.append("The backbone is frozen.")
        elif self.freeze_at:
            stages = self.get_stage_dict()
            for key in self.freeze_at:
                if key in stages:
                    self._freeze_module(stages[key])
                    notes.append(f"Stage {key} is frozen.")
                else:
                    notes.append(f"Stage {key} not found. Freezing options: {stages.keys()}")
        if get_global_rank() == 0:
            for note in notes:
                logging.warning(note)

    @abc.abstractmethod
    def forward_pre_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return what enters the head for images (B, C, H, W)."""

    @abc.abstractmethod
    def forward_feature_pyramid(
        self, x: torch.Tensor, indices: int | list[int] | None = None, **kwargs
    ) -> list[torch.Tensor]:
        """Return intermediate feature maps for images (B, C, H, W).

        Args:
            x: The images.
            indices: Which maps: the last n, the listed ones, or all (None).
            kwargs: For the subclass.
        """

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return class scores (B, num_classes) for images (B, C, H, W)."""
