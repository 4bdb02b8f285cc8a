# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.core."""

from eff.core.archive import Archive

__all__ = ["Archive"]
