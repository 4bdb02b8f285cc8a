# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.core.codec: the same refusals as eff.codec."""

from eff.codec import decrypt_stream, encrypt_stream, get_random_encryption

__all__ = ["decrypt_stream", "encrypt_stream", "get_random_encryption"]
