"""A byte stream cut into blocks of equal size that are filled in place, so that a file's bytes are copied only once.

`BlockWriter` asks `take` for an empty block, fills it and gives it to `emit`, which may keep it: `take` decides when it
comes round again. That is how packing hands blocks to other threads and is slowed down by them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from estiba.values import Protocol

BLOCK_SIZE = 1 << 20


class Writable(Protocol):
    """Where bytes go: a file, a blob's writer."""

    def write(self, data: memoryview, /) -> object: ...


class BlockWriter:
    """`size` is the number of bytes written so far."""

    def __init__(self, take: Callable[[], bytearray], emit: Callable[[bytearray, int], None]) -> None:
        self._take = take
        self._emit = emit
        self._block = take()
        self._view = memoryview(self._block)
        self._length = len(self._block)
        self._used = 0
        self._emitted = 0

    @classmethod
    def onto(cls, out: Writable) -> BlockWriter:
        """One that writes each block to `out` before it fills it again."""
        block = bytearray(BLOCK_SIZE)
        view = memoryview(block)

        def write_out(_: bytearray, length: int) -> None:
            out.write(view[:length])

        return cls(lambda: block, write_out)

    @property
    def size(self) -> int:
        return self._emitted + self._used

    def write(self, data: bytes) -> None:
        """Append `data`."""
        used = self._used
        end = used + len(data)
        if end < self._length:
            self._block[used:end] = data
            self._used = end
            return
        rest = memoryview(data)
        while rest:
            part = rest[: self._length - self._used]
            self._view[self._used : self._used + len(part)] = part
            self._advance(len(part))
            rest = rest[len(part) :]

    def read_from(self, descriptor: int, size: int) -> int:
        """Append at most `size` bytes of the file `descriptor`; gives how many there were."""
        left = size
        while left:
            free = self._length - self._used
            count = os.readv(descriptor, [self._view[self._used : self._used + min(left, free)]])
            if count == 0:
                break
            left -= count
            self._advance(count)
        return size - left

    def finish(self) -> None:
        """Give away the last block, full or not, unless it is empty."""
        if self._used:
            self._give()

    def _advance(self, count: int) -> None:
        self._used += count
        if self._used == self._length:
            self._give()
            self._block = self._take()
            self._view = memoryview(self._block)
            self._length = len(self._block)

    def _give(self) -> None:
        self._emit(self._block, self._used)
        self._emitted += self._used
        self._used = 0


class SizeCounter(BlockWriter):
    """One that counts what it is given, keeps nothing, and takes a file's size for its content."""

    def __init__(self) -> None:
        block = bytearray(1)
        super().__init__(lambda: block, lambda _block, _length: None)

    def write(self, data: bytes) -> None:
        self._emitted += len(data)

    def read_from(self, descriptor: int, size: int) -> int:
        self._emitted += size
        return size
