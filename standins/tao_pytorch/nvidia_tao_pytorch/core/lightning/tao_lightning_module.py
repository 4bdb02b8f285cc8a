# SPDX-License-Identifier: Apache-2.0

"""The LightningModule that all models extend."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint

from nvidia_tao_pytorch.core.callbacks.loggers import TAOStatusLogger
from nvidia_tao_pytorch.core.callbacks.model_checkpoint import TAOExceptionCheckpoint
from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
from nvidia_tao_pytorch.core.utilities import patch_decrypt_checkpoint


class TAOLightningModule(pl.LightningModule):
    """Brings status reporting, checkpoints under TAO's names, and a check that the data fill a batch.

    A subclass sets ``checkpoint_filename``: ``<checkpoint_filename>_latest.pth`` links to the newest one.

    Attributes:
        experiment_spec (DictConfig): The whole experiment.
        dataset_config, model_config (DictConfig): Its sections.
        checkpoint_filename (str): See above.
    """

    def __init__(self, experiment_spec, **kwargs):
        """Keep the experiment.

        Args:
            experiment_spec (DictConfig): The whole experiment.
            kwargs: For LightningModule.
        """
        super().__init__(**kwargs)
        self.experiment_spec = experiment_spec
        self.dataset_config = experiment_spec["dataset"]
        self.model_config = experiment_spec["model"]
        self.checkpoint_filename = None

    def configure_callbacks(self) -> Sequence[Callback] | pl.Callback:
        """Return the callbacks that log status and save checkpoints.

        Raises:
            NotImplementedError: When the subclass did not set ``checkpoint_filename``.
        """
        if not self.checkpoint_filename:
            raise NotImplementedError("checkpoint_filename not set in __init__() of model")
        train = self.experiment_spec["train"]
        results_dir = self.experiment_spec["results_dir"]

        ModelCheckpoint.FILE_EXTENSION = ".pth"
        ModelCheckpoint.CHECKPOINT_EQUALS_CHAR = "_"
        ModelCheckpoint.CHECKPOINT_NAME_LAST = f"{self.checkpoint_filename}_latest"
        TAOExceptionCheckpoint.FILE_EXTENSION = ModelCheckpoint.FILE_EXTENSION
        TAOExceptionCheckpoint.CHECKPOINT_NAME_LAST = ModelCheckpoint.CHECKPOINT_NAME_LAST

        unit = train.get("checkpoint_interval_unit", "epoch")
        interval = train["checkpoint_interval"]
        callbacks = [
            TAOStatusLogger(results_dir, append=True),
            ModelCheckpoint(
                dirpath=results_dir,
                filename="model_{epoch:03d}_{step:05d}",
                every_n_epochs=interval if unit == "epoch" else None,
                every_n_train_steps=interval if unit == "step" else None,
                save_on_train_epoch_end=True,
                monitor=None,
                save_top_k=-1,
                save_last="link",
                enable_version_counter=False,
            ),
            TAOExceptionCheckpoint(dirpath=results_dir),
        ]
        if train.get("enable_lr_monitor", False):
            callbacks.append(LearningRateMonitor(logging_interval="step"))
        return callbacks

    def _dataloader_batch_check(self, dataloader, task):
        """Refuse a dataset that cannot fill a batch per device: with drop_last nothing would run, silently.

        Raises:
            ValueError: When it cannot.
        """
        batch_size = dataloader.batch_size or dataloader.batch_sampler.batch_size
        needed = batch_size * self.trainer.num_devices
        found = len(dataloader.dataset)
        if found < needed:
            raise ValueError(
                f"Dataset size ({found}) is smaller than the total batch size ({needed}). Not enough data for {task}."
            )

    def on_fit_start(self):
        """Check the training data."""
        self._dataloader_batch_check(self.trainer.datamodule.train_dataloader(), "train")

    def on_validation_start(self):
        """Check the validation data."""
        self._dataloader_batch_check(self.trainer.datamodule.val_dataloader(), "validation")

    def on_test_start(self):
        """Check the test data."""
        self._dataloader_batch_check(self.trainer.datamodule.test_dataloader(), "evaluation")

    def on_predict_start(self):
        """Check the data to predict."""
        self._dataloader_batch_check(self.trainer.datamodule.predict_dataloader(), "inference")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the checkpoint as it is; subclasses add to it."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Decrypt the checkpoint if it is encrypted.

        Raises:
            PermissionError: Without the encryption key.
        """
        if checkpoint.get("state_dict_encrypted", False):
            key = TLTPyTorchCookbook.get_passphrase()
            if key is None:
                raise PermissionError("Cannot access model state dict without the encryption key")
            patch_decrypt_checkpoint(checkpoint, key)
