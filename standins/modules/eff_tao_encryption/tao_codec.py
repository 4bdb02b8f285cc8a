# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff_tao_encryption.tao_codec: the same refusals as eff.codec."""

from eff.codec import decrypt_stream, encrypt_stream

__all__ = ["decrypt_stream", "encrypt_stream"]
