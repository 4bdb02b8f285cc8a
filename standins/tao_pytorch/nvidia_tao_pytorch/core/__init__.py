# SPDX-License-Identifier: Apache-2.0

"""Stand-in for tao-pytorch's core: what every model shares."""

IS_STAND_IN = True
