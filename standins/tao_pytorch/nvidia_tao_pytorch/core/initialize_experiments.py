# SPDX-License-Identifier: Apache-2.0

"""What train, evaluate and inference do first: seeds, devices, loggers, the checkpoint to start from."""

import os

import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from torch.backends import cudnn

from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
from nvidia_tao_pytorch.core.loggers import api_logging as status_logging
from nvidia_tao_pytorch.core.mlops import check_wandb_logged_in, initialize_wandb
from nvidia_tao_pytorch.core.tlt_logging import logging
from nvidia_tao_pytorch.core.utilities import get_latest_checkpoint


def initialize_train_experiment(cfg, key=None):
    """Prepare training.

    Args:
        cfg (DictConfig): The experiment; train.num_gpus and train.gpu_ids are set from TAO_VISIBLE_DEVICES.
        key (str): Encryption key.

    Returns:
        tuple: Path of the checkpoint to resume from (or None), and the keyword arguments for the Trainer.

    Raises:
        AssertionError: When an interval is longer than the training.
        ValueError: When the checkpoint to resume from is neither .pth nor .tlt.
    """
    TLTPyTorchCookbook.set_passphrase(key)
    train = cfg["train"]
    results_dir = cfg["results_dir"]
    epochs = train["num_epochs"]
    intervals = ["validation_interval"]
    if train.get("checkpoint_interval_unit", "epoch") == "epoch":
        intervals.insert(0, "checkpoint_interval")
    for interval in intervals:
        assert train[interval] <= epochs, (
            f"train.{interval} is {train[interval]}, but there are only {epochs} epochs. "
            f"Please set train.{interval} <= {epochs}."
        )

    if train["seed"] >= 0:
        seed_everything(train["seed"], workers=True)
    deterministic = train["cudnn"]["deterministic"]
    cudnn.benchmark = train["cudnn"]["benchmark"]
    cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS wants before it is deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)

    resume = train["resume_training_checkpoint_path"] or get_latest_checkpoint(results_dir)
    if resume:
        if not resume.endswith((".tlt", ".pth")):
            raise ValueError(f"Cannot resume from {resume}: a checkpoint must be a .pth or .tlt file.")
        logging.info(f"Setting resume checkpoint to {resume}")

    loggers = [TensorBoardLogger(save_dir=results_dir, version=1, name="lightning_logs")]
    wandb_logger = _wandb_logger(cfg, results_dir)
    if wandb_logger:
        loggers.append(wandb_logger)
    return resume, {
        "logger": loggers,
        "devices": _visible_devices(train),
        "max_epochs": epochs,
        "check_val_every_n_epoch": train["validation_interval"],
        "default_root_dir": results_dir,
        "accelerator": "gpu",
        "enable_checkpointing": False,  # TAOLightningModule brings its own checkpoint callbacks
        "deterministic": "warn" if deterministic else False,
    }


def initialize_evaluation_experiment(cfg, key=None):
    """Prepare evaluation.

    Args:
        cfg (DictConfig): The experiment; TAO_VISIBLE_DEVICES sets evaluate.num_gpus and evaluate.gpu_ids.
        key (str): Encryption key.

    Returns:
        tuple: Path of the checkpoint, and the keyword arguments for the Trainer.
    """
    return _initialize_from_checkpoint(cfg, "evaluate", key)


def initialize_inference_experiment(cfg, key=None):
    """Prepare inference.

    Args:
        cfg (DictConfig): The experiment; TAO_VISIBLE_DEVICES sets inference.num_gpus and inference.gpu_ids.
        key (str): Encryption key.

    Returns:
        tuple: Path of the checkpoint, and the keyword arguments for the Trainer.
    """
    return _initialize_from_checkpoint(cfg, "inference", key)


def _initialize_from_checkpoint(cfg, task, key):
    """Return the task's checkpoint and the keyword arguments for the Trainer."""
    TLTPyTorchCookbook.set_passphrase(key)
    checkpoint = cfg[task]["checkpoint"]
    status_logging.get_status_logger().write(
        message=f"Loading checkpoint: {checkpoint}", status_level=status_logging.Status.RUNNING
    )
    return checkpoint, {
        "devices": _visible_devices(cfg[task]),
        "default_root_dir": cfg["results_dir"],
        "accelerator": "gpu",
        "strategy": "auto",
    }


def _visible_devices(section):
    """Return the GPU numbers that the entrypoint put into TAO_VISIBLE_DEVICES; write them into `section`."""
    gpus = [int(gpu) for gpu in os.environ["TAO_VISIBLE_DEVICES"].split(",")]
    section["num_gpus"] = len(gpus)
    section["gpu_ids"] = gpus
    return gpus


def _wandb_logger(cfg, results_dir):
    """Return a Weights & Biases logger if the experiment asks for one and this machine is logged in."""
    if not hasattr(cfg, "wandb") or not cfg.wandb.enable or not check_wandb_logged_in():
        return None
    return initialize_wandb(
        project=cfg.wandb.project,
        entity=cfg.wandb.entity,
        name=cfg.wandb.name,
        run_id=cfg.wandb.run_id,
        results_dir=results_dir,
        wandb_logged_in=True,
        tags=cfg.wandb.tags,
        config=cfg,
        group=cfg.wandb.group,
    )
