# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.utils.object_class."""


def generate_obj_cls(obj_cls):
    """Return the fully qualified name of a class."""
    return f"{obj_cls.__module__}.{obj_cls.__qualname__}"
