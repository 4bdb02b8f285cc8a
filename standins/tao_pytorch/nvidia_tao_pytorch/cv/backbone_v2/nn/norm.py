# SPDX-License-Identifier: Apache-2.0

"""Normalization."""

import torch
from torch import nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization that never learns: statistics, scale and shift are buffers."""

    def __init__(self, n, eps=1e-5):
        """Begin as the identity.

        Args:
            n (int): Channels.
            eps (float): Added to the variance.
        """
        super().__init__()
        self.eps = eps
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((n,), start))

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Load a BatchNorm2d's state, without its counter of batches."""
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, x):
        """Return the normalized feature maps (B, n, H, W)."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]
