# SPDX-License-Identifier: Apache-2.0

"""Ranks and talking between the processes of a distributed run."""

import functools
import os

import torch
from torch import distributed as dist


def is_dist_avail_and_initialized():
    """Return whether this is a distributed run whose process group exists."""
    return dist.is_available() and dist.is_initialized()


def get_world_size(group=None):
    """Return the number of processes; 1 outside distributed runs."""
    return dist.get_world_size(group) if is_dist_avail_and_initialized() else 1


def get_global_rank(group=None):
    """Return this process's number among all; 0 outside distributed runs."""
    return dist.get_rank(group) if is_dist_avail_and_initialized() else 0


def get_local_rank():
    """Return this process's number on its machine; 0 outside distributed runs.

    Raises:
        RuntimeError: When the launcher did not tell.
    """
    if not is_dist_avail_and_initialized():
        return 0
    for variable in ("LOCAL_RANK", "SLURM_LOCALID"):
        if variable in os.environ:
            return int(os.environ[variable])
    raise RuntimeError("Cannot tell the local rank: neither LOCAL_RANK nor SLURM_LOCALID is set.")


def get_local_size():
    """Return the number of GPUs on this machine."""
    return torch.cuda.device_count()


def all_gather(data):
    """Return what every process passed, as a list in the order of ranks.

    Args:
        data: Anything that can be pickled.
    """
    gathered = [data] * get_world_size()
    if len(gathered) > 1:
        dist.all_gather_object(gathered, data)
    return gathered


def synchronize(fn):
    """Decorate `fn` so that all processes wait for each other before and after it."""

    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        """Call the function between two barriers."""
        if is_dist_avail_and_initialized():
            dist.barrier()
        result = fn(*args, **kwargs)
        if is_dist_avail_and_initialized():
            dist.barrier()
        return result

    return wrapper
