"""Bringing what is written to the disk while more is written, so that the sync at the end has little to wait for."""

from __future__ import annotations

STEP = 8 << 20
"""Bytes between two calls of `begin`: many for a disk, few beside what a disk does in a second."""

_SYNC_FILE_RANGE_WRITE = 2


def begin(descriptor: int, offset: int = 0, length: int = 0) -> None:
    """Have the kernel begin to write this part of a file (to its end: 0) to the disk, and wait for nothing.

    A hint (sync_file_range(2)): where it cannot be followed, as on a filesystem without a disk, nothing happens.
    """
    import ctypes

    from estiba.linux.libc import libc

    libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


class Writeback:
    """One file being written from its start to its end: each `STEP` of it is on its way as soon as it is whole."""

    __slots__ = ("_begun", "_descriptor", "_written")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0
        self._begun = 0

    def wrote(self, count: int) -> None:
        """Count `count` more bytes."""
        self._written += count
        if self._written - self._begun >= STEP:
            begin(self._descriptor, self._begun, self._written - self._begun)
            self._begun = self._written
