# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.callbacks: the names that cookbooks pass when they read an archive."""


class BinaryContentCallback:
    """Asks an archive for a file's bytes; no archive of this stand-in ever answers."""


class StringContentCallback:
    """Asks an archive for a file's text; no archive of this stand-in ever answers."""
