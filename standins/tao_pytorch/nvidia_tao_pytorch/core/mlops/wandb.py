# SPDX-License-Identifier: Apache-2.0

"""Weights & Biases; the wandb package is only imported when somebody is logged in."""

import os
from datetime import datetime

from omegaconf import DictConfig, OmegaConf

from nvidia_tao_pytorch.core.tlt_logging import logging

DEFAULT_WANDB_CONFIG = "~/.netrc"

_WANDB_INITIALIZED = False


def is_wandb_initialized():
    """Return whether :func:`initialize_wandb` made a logger in this process."""
    return _WANDB_INITIALIZED


def check_wandb_logged_in():
    """Return whether a Weights & Biases key is at hand and accepted."""
    key = os.getenv("WANDB_API_KEY")
    if key is None and not os.path.exists(os.path.expanduser(DEFAULT_WANDB_CONFIG)):
        return False
    import wandb  # slow, and rarely wanted

    try:
        return wandb.login(key=key)
    except wandb.errors.UsageError:
        logging.warning("Not logged in to Weights & Biases.")
        return False


def initialize_wandb(
    project: str = "TAO Toolkit",
    entity: str | None = None,
    sync_tensorboard: bool = True,
    save_code: bool = False,
    tags: list | None = None,
    run_id: str | None = None,
    name: str = "train",
    config=None,
    wandb_logged_in: bool = False,
    results_dir: str = os.getcwd(),
    group: str | None = None,
):
    """Return a Lightning logger for Weights & Biases, or None (with a warning) when that fails.

    Args:
        project: Project to report to.
        entity: Its owner.
        sync_tensorboard: Whether to send what TensorBoard gets.
        save_code: Whether to save the script.
        tags: Tags of the run.
        run_id: Id of a run to continue.
        name: Name of the run; the time is appended.
        config: The experiment's configuration.
        wandb_logged_in: What :func:`check_wandb_logged_in` returned.
        results_dir: Where to keep local files.
        group: Group of the run.
    """
    global _WANDB_INITIALIZED  # noqa: PLW0603  one per process, as in TAO
    try:
        assert wandb_logged_in, "Set WANDB_API_KEY or run 'wandb login' first."
        from pytorch_lightning.loggers import WandbLogger  # slow

        settings = (
            OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else dict(config or {})
        )
        optional = {"group": group, "id": run_id}
        made = WandbLogger(
            name=f"{name}_{datetime.now():%m:%d:%y_%H:%M:%S}",
            project=project,
            entity=entity,
            log_model=False,
            save_dir=results_dir,
            sync_tensorboard=sync_tensorboard,
            save_code=save_code,
            config=settings,
            tags=tags,
            **{key: value for key, value in optional.items() if value},
        )
    except Exception as error:  # tracking must never prevent training
        logging.warning(f"Weights & Biases cannot be used: {error}")
        return None
    _WANDB_INITIALIZED = True
    return made
