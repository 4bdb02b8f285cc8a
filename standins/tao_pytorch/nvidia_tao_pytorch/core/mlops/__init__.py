# SPDX-License-Identifier: Apache-2.0

"""Experiment tracking."""

from nvidia_tao_pytorch.core.mlops.wandb import check_wandb_logged_in, initialize_wandb, is_wandb_initialized

__all__ = ["check_wandb_logged_in", "initialize_wandb", "is_wandb_initialized"]
