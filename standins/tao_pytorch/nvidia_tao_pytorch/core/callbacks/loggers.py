# SPDX-License-Identifier: Apache-2.0

"""Tells status.json how training goes."""

import os
import time
from datetime import timedelta

from pytorch_lightning import Callback

from nvidia_tao_pytorch.core.loggers.api_logging import (
    Status,
    StatusLogger,
    Verbosity,
    get_status_logger,
    set_status_logger,
)


class TAOStatusLogger(Callback):
    """Writes a line to status.json when training begins, after each epoch and when it ends."""

    def __init__(self, results_dir, verbosity=Verbosity.INFO, append=False):
        """Use the process's status logger; make one when it writes nowhere.

        Args:
            results_dir (str): Where to make status.json.
            verbosity (int): The least important lines to write.
            append (bool): Whether to keep what status.json holds.
        """
        super().__init__()
        if not isinstance(get_status_logger(), StatusLogger):
            path = os.path.join(results_dir, "status.json")
            set_status_logger(StatusLogger(filename=path, verbosity=verbosity, append=append))
        self.logger = get_status_logger()
        self.avg_time_per_batch = 0.0
        self.num_steps_in_experiment = 0
        self._epoch_start_time = None
        self._step_start_time = None

    def on_train_start(self, trainer, pl_module):
        """Write that training begins."""
        self.logger.write(status_level=Status.STARTED, message="Starting Training Loop.")

    def on_train_epoch_start(self, trainer, pl_module):
        """Start the epoch's clock."""
        self._epoch_start_time = time.time()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Start the step's clock, and the epoch's when training resumed within one."""
        self._step_start_time = time.time()
        if self._epoch_start_time is None:
            self._epoch_start_time = self._step_start_time

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Take the step's time into the average."""
        self.num_steps_in_experiment += 1
        seconds = time.time() - self._step_start_time
        self.avg_time_per_batch += (seconds - self.avg_time_per_batch) / self.num_steps_in_experiment

    def on_train_epoch_end(self, trainer, pl_module):
        """Write how far training is, how long epochs and steps take, and how long it will last."""
        seconds = time.time() - (self._epoch_start_time or time.time())  # an epoch can resume after its last batch
        steps = trainer.max_steps if trainer.max_steps > 0 else trainer.max_epochs * trainer.num_training_batches
        last_epoch = trainer.max_epochs - 1
        data = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "max_epoch": last_epoch,
            "max_step": steps,
            "time_per_epoch": str(timedelta(seconds=seconds)),
            "time_per_step": str(timedelta(seconds=self.avg_time_per_batch)),
            "eta": str(timedelta(seconds=(last_epoch - trainer.current_epoch) * seconds)),
        }
        self.logger.write(data=data, message="Training loop in progress")

    def on_train_end(self, trainer, pl_module):
        """Write that training ended."""
        self.logger.write(status_level=Status.RUNNING, message="Training loop complete.")
