"""Pipes and terminals on the loop: descriptors that are read and written without holding anything up."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios

_CHUNK = 1 << 16


class Descriptor:
    """A non-blocking descriptor that this object owns. One reader and one writer at a time."""

    def __init__(self, number: int) -> None:
        self._number = number
        os.set_blocking(number, False)
        self._loop = asyncio.get_running_loop()

    def read_now(self) -> bytes | None:
        """What is there; None where nothing is yet, b"" at the end."""
        try:
            return os.read(self._number, _CHUNK) if self._number >= 0 else b""
        except BlockingIOError:
            return None
        except OSError:  # EIO: the last process that had the terminal is gone
            return b""

    async def read(self) -> bytes:
        """At least one byte, b"" at the end."""
        while (data := self.read_now()) is None:
            await self._ready(self._loop.add_reader, self._loop.remove_reader)
        return data

    async def write(self, data: bytes) -> bool:
        """Write all of `data`; False where nobody reads any more."""
        view = memoryview(data)
        while view and self._number >= 0:
            try:
                view = view[os.write(self._number, view[:_CHUNK]) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError:  # EPIPE, EIO
                return False
        return self._number >= 0

    def resize(self, rows: int, columns: int) -> None:
        """Tell a terminal its size."""
        if self._number >= 0:
            fcntl.ioctl(self._number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        if self._number >= 0:
            self._loop.remove_reader(self._number)
            self._loop.remove_writer(self._number)
            os.close(self._number)
            self._number = -1

    async def _ready(self, add, remove) -> None:  # type: ignore[no-untyped-def]  # two methods of the loop
        waiting: asyncio.Future[None] = self._loop.create_future()
        number = self._number

        def wake() -> None:
            if not waiting.done():
                waiting.set_result(None)

        add(number, wake)
        try:
            await waiting
        finally:
            if self._number == number:
                remove(number)
