# SPDX-License-Identifier: Apache-2.0

"""Paths."""

import os


def expand_path(path):
    """Return `path` as an absolute path with ``~`` replaced by the home directory."""
    return os.path.abspath(os.path.expanduser(path))
