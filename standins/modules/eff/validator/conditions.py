# SPDX-License-Identifier: Apache-2.0

"""Stand-in for eff.validator.conditions."""


class Expression:
    """A condition on one metadata value: ``function(value, *arguments)`` must hold."""

    def __init__(self, function, *arguments):
        """Remember the condition.

        Args:
            function (callable): For example ``operator.eq``.
            arguments: What follows the value in the call.
        """
        self.function = function
        self.arguments = arguments

    def __call__(self, value):
        """Return whether the condition holds for `value`."""
        return bool(self.function(value, *self.arguments))
