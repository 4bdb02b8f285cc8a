# SPDX-License-Identifier: Apache-2.0

"""Exponential moving average of the weights: validated with, saved beside the weights, restored on resume."""

import contextlib
import math
import os
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.rank_zero import rank_zero_info


class EMA(Callback):
    """Keeps a moving average of the trained parameters.

    Validation and testing use the average. Use :class:`EMAModelCheckpoint` to save it: it writes a second
    checkpoint with ``-EMA`` in its name, which is needed to resume.
    """

    ema_suffix = "-EMA"

    def __init__(
        self,
        decay: float,
        validate_original_weights: bool = False,
        every_n_steps: int = 1,
        cpu_offload: bool = False,
        warmup_steps: int = 0,
    ):
        """Set how to average.

        Args:
            decay: How much of the average each update keeps, from 0 to 1.
            validate_original_weights: Validate the trained weights instead of the average.
            every_n_steps: Update after so many training steps.
            cpu_offload: Keep the average in main memory.
            warmup_steps: Let the decay rise from 0 over about so many steps.

        Raises:
            MisconfigurationException: When decay is not from 0 to 1.
        """
        if not 0 <= decay <= 1:
            raise MisconfigurationException("EMA decay value must be between 0 and 1")
        self.decay = decay
        self.validate_original_weights = validate_original_weights
        self.every_n_steps = every_n_steps
        self.cpu_offload = cpu_offload
        self.warmup_steps = warmup_steps
        self._average = {}
        self._parameters = {}
        self._step = None

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Begin the average at the weights, or at the average that a checkpoint brought."""
        rank_zero_info("Averaging weights (EMA)")
        restored = self._average
        self._step = trainer.global_step
        self._parameters = self._trained(pl_module)
        self._average = {
            name: restored.get(name, parameter).detach().clone().to("cpu" if self.cpu_offload else parameter.device)
            for name, parameter in self._parameters.items()
        }

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any, **__: Any) -> None:
        """Update the average after an optimizer step."""
        if trainer.global_step == self._step:  # gradients are still being accumulated
            return
        self._step = trainer.global_step
        if self._step % self.every_n_steps:
            return
        decay = self.decay * (1 - math.exp(-self._step / self.warmup_steps)) if self.warmup_steps else self.decay
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                average = self._average[name]
                average.lerp_(parameter.detach().to(average.device), 1 - decay)

    def on_validation_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Put the average in place of the weights."""
        self._swap_for_validation()

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Put the weights back."""
        self._swap_for_validation()

    def on_test_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Put the average in place of the weights."""
        self._swap_for_validation()

    def on_test_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Put the weights back."""
        self._swap_for_validation()

    def on_load_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        """Take the average from the ``-EMA`` checkpoint beside the one being loaded.

        Raises:
            MisconfigurationException: When there is none.
        """
        if not trainer.ckpt_path or trainer.checkpoint_callback is None:
            return
        extension = trainer.checkpoint_callback.FILE_EXTENSION
        path = os.path.realpath(trainer.ckpt_path)
        if path.endswith(f"{self.ema_suffix}{extension}"):
            rank_zero_info("Resuming from averaged weights: they become the weights, and averaging starts anew.")
            return
        path = path.replace(extension, f"{self.ema_suffix}{extension}")
        if not os.path.exists(path):
            raise MisconfigurationException(f"Cannot resume averaging: the averaged weights {path} are missing.")
        # Not weights_only: Lightning's part of a checkpoint holds more, and this file is one that we wrote.
        self._average = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
        rank_zero_info("EMA state has been restored.")

    @contextlib.contextmanager
    def save_ema_model(self, trainer: "pl.Trainer"):
        """Hold the average in place of the weights while a checkpoint is written."""
        self.swap_model_weights(trainer)
        try:
            yield
        finally:
            self.swap_model_weights(trainer)

    def swap_model_weights(self, trainer: "pl.Trainer", saving_ema_model: bool = False):
        """Exchange weights and average."""
        self._swap()

    def _swap_for_validation(self):
        if not self.validate_original_weights:
            self._swap()

    def _swap(self):
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                average = self._average[name]
                kept = parameter.detach().clone()
                parameter.copy_(average)
                average.copy_(kept)

    @staticmethod
    def _trained(pl_module):
        """Return the trained parameters by the names that checkpoints have, which a module may give them itself."""
        trained = {id(parameter) for parameter in pl_module.parameters() if parameter.requires_grad}
        found = {}
        for name, value in pl_module.state_dict(keep_vars=True).items():
            if id(value) in trained:
                found.setdefault(id(value), (name, value))
        return dict(found.values())


class EMAModelCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that also saves a copy with averaged weights when an :class:`EMA` is at work."""

    def __init__(self, **kwargs):
        """Take ModelCheckpoint's arguments."""
        super().__init__(**kwargs)

    def _ema_callback(self, trainer) -> EMA | None:
        return next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)

    def _averaged_path(self, filepath, ema):
        return filepath.replace(self.FILE_EXTENSION, f"{ema.ema_suffix}{self.FILE_EXTENSION}")

    def _save_checkpoint(self, trainer, filepath) -> None:
        super()._save_checkpoint(trainer, filepath)
        ema = self._ema_callback(trainer)
        if ema is not None:
            with ema.save_ema_model(trainer):
                super()._save_checkpoint(trainer, self._averaged_path(filepath, ema))

    def _remove_checkpoint(self, trainer, filepath) -> None:
        super()._remove_checkpoint(trainer, filepath)
        ema = self._ema_callback(trainer)
        if ema is not None:
            super()._remove_checkpoint(trainer, self._averaged_path(filepath, ema))
