# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.codec: stream encryption, refused."""

from eff import refuse


def encrypt_stream(input_stream, output_stream, passphrase, encryption=True, rewind=True):
    """Refuse to encrypt.

    Raises:
        NotImplementedError: Always.
    """
    refuse("encrypt a file")


def decrypt_stream(input_stream, output_stream, passphrase, encryption=True, rewind=True):
    """Refuse to decrypt.

    Raises:
        NotImplementedError: Always.
    """
    refuse("decrypt a file")


def get_random_encryption():
    """Refuse to choose a cipher.

    Raises:
        NotImplementedError: Always.
    """
    refuse("encrypt a checkpoint")
