# SPDX-License-Identifier: Apache-2.0

"""The version that the stand-in reports: all numbers, because tao-deploy parses it as such."""

__version__ = "10.0.0.0"
