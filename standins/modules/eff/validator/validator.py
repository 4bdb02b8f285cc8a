# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.validator.validator: metadata comes from archives, and those are refused."""

from eff import refuse


def validate_metadata(*conditions, metadata=None, **key_conditions):
    """Refuse to judge an archive's metadata.

    Raises:
        NotImplementedError: Always.
    """
    refuse("validate an EFF archive")
