# SPDX-License-Identifier: Apache-2.0

"""Loading pretrained weights."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file
from torch.serialization import FileLike

from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
from nvidia_tao_pytorch.core.utilities import patch_decrypt_checkpoint


class StateDictAdapter:
    """Takes a backbone's weights out of a TAO model's checkpoint, by the prefix of their names."""

    def __init__(self):
        """Begin without models."""
        self.supported = {}

    def add(self, model_name, prefix, model_type=None):
        """Tell which prefix a model's backbone has.

        Args:
            model_name (str): The model.
            prefix (str): What to cut off names.
            model_type (str): Its kind, where one model has several.

        Raises:
            ValueError: When it was told before.
        """
        key = (str(model_name), None if model_type is None else str(model_type))
        if key in self.supported:
            raise ValueError(f"{key} is already supported")
        self.supported[key] = prefix

    def get(self, model_name, model_type=None):
        """Return a model's prefix.

        Raises:
            ValueError: For a model that was not added.
        """
        if (model_name, model_type) not in self.supported:
            raise ValueError(f"{(model_name, model_type)} is not supported")
        return self.supported[(model_name, model_type)]

    def __call__(self, model_name, state_dict, model_type=None):
        """Cut a model's prefix off the names that have it, in place, and return `state_dict`."""
        prefix = self.get(model_name, model_type=model_type)
        for name in list(state_dict):
            value = state_dict.pop(name)
            state_dict[name.removeprefix(prefix)] = value
        return state_dict


def load_pretrained_weights(
    path_or_checkpoint: FileLike | Mapping[str, Any],
    map_location="cpu",
    weights_only=False,
    ptm_adapter=None,
    parser=None,
    **kwargs,
):
    """Return the state_dict in a checkpoint.

    Args:
        path_or_checkpoint (str or dict): A .safetensors or PyTorch file, or what was loaded from one.
        map_location: Where tensors go.
        weights_only (bool): Refuse pickled code; set it for files from others.
        ptm_adapter (StateDictAdapter): For checkpoints of TAO models.
        parser (callable): Changes the state_dict of other checkpoints.
        kwargs: For torch.load.

    Raises:
        PermissionError: When the checkpoint is encrypted and there is no key.
    """
    checkpoint = path_or_checkpoint
    if isinstance(checkpoint, (str, os.PathLike)) or hasattr(checkpoint, "read"):
        if str(checkpoint).endswith(".safetensors"):
            checkpoint = load_file(checkpoint, device=map_location)
        else:
            checkpoint = torch.load(checkpoint, map_location=map_location, weights_only=weights_only, **kwargs)
    if "state_dict_encrypted" in checkpoint:
        key = TLTPyTorchCookbook.get_passphrase()
        if key is None:
            raise PermissionError("Cannot access model state dict without the encryption key.")
        checkpoint = patch_decrypt_checkpoint(checkpoint, key)
    if checkpoint.get("tao_model") is not None:
        return ptm_adapter(
            checkpoint["tao_model"], checkpoint["state_dict"], model_type=checkpoint.get("tao_model_type")
        )
    state_dict = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    return parser(state_dict) if parser is not None else state_dict


def common_parser(original):
    """Return a state_dict without the ``module.`` that DataParallel puts before names."""
    return {
        name.replace("module.", "") if name.startswith("module.") else name: value for name, value in original.items()
    }
