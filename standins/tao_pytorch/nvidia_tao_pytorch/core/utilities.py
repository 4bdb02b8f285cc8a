# SPDX-License-Identifier: Apache-2.0

"""Helpers that every model uses: results directories, checkpoints, class lists, DeepStream configuration."""

import glob
import io
import os
import struct

import torch
from eff.codec import decrypt_stream
from eff.core.codec import encrypt_stream


def get_num_trainable_elements(model):
    """Return how many numbers training can change in `model`."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def update_results_dir(cfg, task):
    """Settle where a subtask writes: its own results_dir, else ``<results_dir>/<task>``.

    Args:
        cfg (DictConfig): The experiment; both results_dir fields are set.
        task (str): The subtask.

    Returns:
        DictConfig: `cfg`.

    Raises:
        ValueError: When neither is given.
    """
    if not cfg[task]["results_dir"]:
        if not cfg["results_dir"]:
            raise ValueError(f"Set results_dir or {task}.results_dir: nothing says where to write.")
        cfg[task]["results_dir"] = os.path.join(cfg["results_dir"], task)
    cfg["results_dir"] = cfg[task]["results_dir"]
    print(f"{task.capitalize()} results will be saved at: {cfg['results_dir']}")
    return cfg


def get_latest_checkpoint(folder_path):
    """Return the file that the folder's ``*_latest.pth`` points to, or None."""
    found = glob.glob(os.path.join(folder_path, "*_latest.pth"))
    return os.path.realpath(found[0]) if found else None


def patch_decrypt_checkpoint(checkpoint, key):
    """Return `checkpoint` with its state_dict decrypted.

    Args:
        checkpoint (dict): A checkpoint whose state_dict is encrypted bytes.
        key (str): The encryption key.

    Raises:
        NotImplementedError: From the eff stand-in, which refuses.
    """
    plain = io.BytesIO()
    decrypt_stream(
        input_stream=io.BytesIO(checkpoint["state_dict"]),
        output_stream=plain,
        passphrase=key,
        encryption=checkpoint["state_dict_encrypted"],
    )
    plain.seek(0)
    checkpoint["state_dict"] = torch.load(plain, map_location="cpu", weights_only=True)
    checkpoint["state_dict_encrypted"] = False
    return checkpoint


def check_and_create(d):
    """Make directory `d` and its parents unless it exists."""
    os.makedirs(d, exist_ok=True)


def write_classes_file(classes_file, class_names, delimiter=";"):
    """Write class names on one line.

    Args:
        classes_file (str): Path of the file; its directory is made.
        class_names (list of str): The names, in the order of class indices.
        delimiter (str): What to put between them.

    Returns:
        int: The number of classes.
    """
    assert isinstance(class_names, list), "class_names must be a list"
    assert class_names, "class_names must contain at least one class"
    os.makedirs(os.path.dirname(classes_file) or ".", exist_ok=True)
    with open(classes_file, "w", encoding="utf-8") as handle:
        handle.write(delimiter.join(class_names) + "\n")
    return len(class_names)


def get_nvdsinfer_yaml(
    nvdsinfer_dataclass,
    labels_file: str,
    num_classes: int,
    output_file: str,
    input_shape: list,
    output_names: list,
    offsets: list | None = None,
):
    """Return the DeepStream configuration of an exported model as YAML text.

    Args:
        nvdsinfer_dataclass (type): The model's configuration class; its property_field is filled in.
        labels_file: Path of the labels file, or None.
        num_classes: Number of classes.
        output_file: Path of the ONNX file.
        input_shape: [channels, height, width].
        output_names: Names of the ONNX outputs.
        offsets: Mean per channel, on the 0..255 scale.
    """
    config = nvdsinfer_dataclass()
    properties = config.property_field
    properties.onnx_file = os.path.basename(output_file)
    properties.output_blob_names = output_names
    properties.num_detected_classes = num_classes
    properties.infer_dims = input_shape
    if offsets:
        properties.offsets = offsets
    if labels_file is not None:
        properties.labelfile_path = os.path.basename(labels_file)
    return str(config)


def encrypt_onnx(tmp_file_name, output_file_name, key):
    """Encrypt an ONNX file.

    Args:
        tmp_file_name (str): The plain file.
        output_file_name (str): The file to write: a zero as a 4-byte integer, then the encrypted bytes.
        key (str): The encryption key.

    Raises:
        NotImplementedError: From the eff stand-in, which refuses.
    """
    encrypted = io.BytesIO()
    with open(tmp_file_name, "rb") as plain:
        encrypt_stream(input_stream=plain, output_stream=encrypted, passphrase=key, encryption=True)
    with open(output_file_name, "wb") as target:
        target.write(struct.pack("<i", 0) + encrypted.getvalue())
