# SPDX-License-Identifier: Apache-2.0

"""Where the encryption key is kept; EFF archives, which the real cookbook also writes, need NVIDIA's eff."""


class TLTPyTorchCookbook:
    """Holds the encryption key of this process."""

    _passphrase = None

    @classmethod
    def get_passphrase(cls):
        """Return the encryption key, or None."""
        return cls._passphrase

    @classmethod
    def set_passphrase(cls, passphrase: str):
        """Set the encryption key."""
        cls._passphrase = passphrase
