# SPDX-License-Identifier: Apache-2.0

"""Stand-in for pycuda: "device memory" that lies in ordinary memory, for machines without a GPU."""

IS_STAND_IN = True
VERSION = (0, 0, 0)
VERSION_TEXT = "0.0.0"
