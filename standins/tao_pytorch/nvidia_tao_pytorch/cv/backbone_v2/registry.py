# SPDX-License-Identifier: Apache-2.0

"""The registry of backbones."""


class Registry:
    """Objects by name, as fvcore's class of the same name keeps them."""

    def __init__(self, name):
        """Begin empty.

        Args:
            name (str): What is registered, for messages.
        """
        self._name = name
        self._objects = {}

    def register(self, obj=None):
        """Register an object under its ``__name__``: as ``@register()`` or as ``register(obj)``.

        Raises:
            AssertionError: When the name is taken.
        """
        if obj is None:
            return self._add
        self._add(obj)
        return None

    def _add(self, obj):
        name = obj.__name__
        assert name not in self._objects, f"An object named '{name}' was already registered in '{self._name}' registry!"
        self._objects[name] = obj
        return obj

    def get(self, name):
        """Return the object of that name.

        Raises:
            KeyError: When there is none.
        """
        if name not in self._objects:
            raise KeyError(f"No object named '{name}' found in '{self._name}' registry!")
        return self._objects[name]

    def __contains__(self, name):
        """Return whether the name is taken."""
        return name in self._objects

    def __iter__(self):
        """Iterate over (name, object)."""
        return iter(self._objects.items())

    def __repr__(self):
        """Return the registry's name and the names in it."""
        return f"Registry of {self._name}: {', '.join(self._objects)}"


BACKBONE_REGISTRY = Registry("BACKBONE")
