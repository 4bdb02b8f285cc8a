# SPDX-License-Identifier: Apache-2.0

"""Keeps what was learned when training is interrupted."""

import os
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, OnExceptionCheckpoint


class TAOExceptionCheckpoint(OnExceptionCheckpoint):
    """On an exception, saves a checkpoint under the usual name and points the ``_latest`` link at it."""

    CHECKPOINT_NAME_LAST = ""

    def __init__(self, dirpath):
        """Set where to save.

        Args:
            dirpath (str): The results directory.
        """
        super().__init__(dirpath)

    def on_exception(self, trainer: "pl.Trainer", *_: Any, **__: Any) -> None:
        """Save and link."""
        self.filename = f"model_epoch_{trainer.current_epoch:03d}_step_{trainer.global_step:05d}"
        super().on_exception(trainer)
        link = os.path.join(self.dirpath, self.CHECKPOINT_NAME_LAST + self.FILE_EXTENSION)
        ModelCheckpoint._link_checkpoint(trainer, self.ckpt_path, link)
