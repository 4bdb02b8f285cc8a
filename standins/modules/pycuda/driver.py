# SPDX-License-Identifier: Apache-2.0

"""Stand-in for pycuda.driver: allocations, copies, streams and contexts over NumPy arrays.

An allocation's address is the address of its bytes in ordinary memory, so that whoever gets only the integer
(the tensorrt stand-in does) finds the bytes again with :func:`host_view`. Copies happen at once, whatever the
stream.
"""

import weakref
from typing import ClassVar

import numpy as np

IS_STAND_IN = True


class Error(Exception):
    """Base class of the driver's errors."""


class LogicError(Error):
    """A call that makes no sense: unknown address, copy past the end, use after free."""


class DeviceAllocation:
    """A block of "device" memory; ``int(allocation)`` is its address."""

    def __init__(self, size):
        """Allocate `size` bytes, zeroed."""
        self._bytes = np.zeros(int(size), dtype=np.uint8)
        self.size = int(size)
        self._address = self._bytes.ctypes.data
        _ALLOCATIONS[self._address] = self

    def free(self):
        """Release the block; its address is unknown from now on.

        Raises:
            LogicError: When the block was released before.
        """
        if self._bytes is None:
            raise LogicError("This device allocation was freed before.")
        _ALLOCATIONS.pop(self._address, None)
        self._bytes = None

    def __int__(self):
        """Return the address."""
        return self._address

    __index__ = __int__


_ALLOCATIONS = weakref.WeakValueDictionary()


def host_view(address, size):
    """Return `size` bytes at the device `address` as a writable uint8 array (this stand-in only).

    Args:
        address (int or DeviceAllocation): Where the bytes begin; may lie inside an allocation.
        size (int): How many bytes.

    Raises:
        LogicError: When no live allocation holds all of these bytes.
    """
    address = int(address)
    owner = _ALLOCATIONS.get(address)
    if owner is None:
        for start, candidate in list(_ALLOCATIONS.items()):
            if start <= address < start + candidate.size:
                owner = candidate
                break
    if owner is None:
        raise LogicError(f"No device memory is allocated at address {address:#x} (was it freed?).")
    offset = address - int(owner)
    if offset + size > owner.size:
        raise LogicError(f"{size} bytes do not fit: only {owner.size - offset} are allocated at {address:#x}.")
    return owner._bytes[offset : offset + size]


class Context:
    """A "CUDA context": only whether one is current matters here."""

    _stack: ClassVar[list] = []

    def __init__(self, device):
        """Make a context of `device` and make it current."""
        self.device = device
        Context._stack.append(self)

    @staticmethod
    def get_current():
        """Return the current context, or None."""
        return Context._stack[-1] if Context._stack else None

    @staticmethod
    def pop():
        """Make the context below the current one current.

        Raises:
            LogicError: When none is current.
        """
        if not Context._stack:
            raise LogicError("No context is current.")
        Context._stack.pop()

    def push(self):
        """Make this context current again."""
        Context._stack.append(self)

    def detach(self):
        """Forget this context."""
        if self in Context._stack:
            Context._stack.remove(self)

    @staticmethod
    def synchronize():
        """Do nothing: all work is finished when its call returns."""


class Device:
    """The one "device" there is: this machine's processor."""

    def __init__(self, number):
        """Take device `number`.

        Raises:
            LogicError: For any number but 0.
        """
        if int(number) != 0:
            raise LogicError(f"Device {number} does not exist: the stand-in has device 0 only.")
        self.number = int(number)

    @staticmethod
    def count():
        """Return 1."""
        return 1

    def name(self):
        """Return what to call this device."""
        return "CPU (pycuda stand-in)"

    def make_context(self, flags=0):
        """Return a new context, which is current."""
        return Context(self)


class Stream:
    """A stream on which everything is already done."""

    def __init__(self, flags=0):
        """Make a stream; `handle` is what TensorRT takes."""
        self.handle = id(self)

    def synchronize(self):
        """Do nothing: all work is finished when its call returns."""

    def is_done(self):
        """Return True."""
        return True


def init(flags=0):
    """Do nothing: there is no driver to start."""


def mem_alloc(bytes):  # the real parameter's name
    """Return a new :class:`DeviceAllocation` of that many bytes."""
    return DeviceAllocation(bytes)


def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
    """Return an uninitialised host array (ordinary memory)."""
    return np.empty(shape, dtype=dtype, order=order)


def pagelocked_zeros(shape, dtype, order="C", mem_flags=0):
    """Return a zeroed host array (ordinary memory)."""
    return np.zeros(shape, dtype=dtype, order=order)


def memcpy_htod(dest, src):
    """Copy the C-contiguous array `src` to device address `dest`.

    Raises:
        LogicError: When it does not fit.
    """
    source = _as_bytes(src)
    host_view(dest, source.size)[:] = source


def memcpy_htod_async(dest, src, stream=None):
    """Like :func:`memcpy_htod`."""
    memcpy_htod(dest, src)


def memcpy_dtoh(dest, src):
    """Fill the C-contiguous array `dest` from device address `src`.

    Raises:
        LogicError: When less is allocated there.
    """
    target = _as_bytes(dest)
    target[:] = host_view(src, target.size)


def memcpy_dtoh_async(dest, src, stream=None):
    """Like :func:`memcpy_dtoh`."""
    memcpy_dtoh(dest, src)


def memcpy_dtod(dest, src, size):
    """Copy `size` bytes from device address `src` to `dest`."""
    host_view(dest, size)[:] = host_view(src, size)


def _as_bytes(array):
    """Return the memory of a C-contiguous `array` as flat uint8, without copying."""
    array = np.asarray(array)
    if not array.flags.c_contiguous:
        raise LogicError("Only C-contiguous arrays can be copied.")
    return array.reshape(-1).view(np.uint8)
