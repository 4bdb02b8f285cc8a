# SPDX-License-Identifier: Apache-2.0

"""Stand-in for NVIDIA's eff (encryption and archives): imports work, encrypting or decrypting is refused."""

IS_STAND_IN = True


def refuse(what):
    """Raise the one error of this stand-in.

    Args:
        what (str): What was asked for, as a verb phrase: "decrypt a checkpoint".

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(
        f"Cannot {what}: NVIDIA's 'eff' library is not installed, only a stand-in that refuses encryption. "
        "Leave the encryption key empty and use plain .pth and .onnx files, or run this in a TAO container."
    )
