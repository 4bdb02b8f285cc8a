# SPDX-License-Identifier: Apache-2.0

"""Memory that TensorRT hands out: bytes that also work in a ``with`` statement."""


class IHostMemory(bytes):
    """A serialized engine or timing cache."""

    @property
    def nbytes(self):
        """Size in bytes."""
        return len(self)

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *error):
        """Keep the bytes: they are freed with their last reference."""
