# SPDX-License-Identifier: Apache-2.0

"""Stand-in for NVIDIA's eff_tao_encryption: imports work, encrypting or decrypting is refused."""

IS_STAND_IN = True
