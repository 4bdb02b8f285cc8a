# SPDX-License-Identifier: Apache-2.0

"""Stand-in for tao-pytorch: the base classes that a generated model touches, on Lightning and timm."""

IS_STAND_IN = True
