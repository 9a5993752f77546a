"""The body of a request as a file for a thread, which works on it while it comes in."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from estiba.docker_api.descriptors import Descriptor
from estiba.docker_api.exchange import Exchange
from estiba.errors import Unavailable

T = TypeVar("T")

_BUFFER = 1 << 20


def _keep(_made: object) -> None: ...


async def with_body(exchange: Exchange, work: Callable[[BinaryIO], T], undo: Callable[[T], object] = _keep) -> T:
    """What `work` makes of the body. A client that goes away cuts the file off: reading it fails, it does not end.

    `undo` gets what `work` made, where nobody is there to get it.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    body, sink = _Body(reading), Descriptor(writing)
    content, threads = exchange.request.content, exchange.api.threads
    working = asyncio.create_task(threads.made(_closing, undo, body, work))
    try:
        while part := await content.readany():
            if not await sink.write(part):
                break
        sink.close()
        await asyncio.wait({working})
        while working.exception() is None and await content.readany():  # what it did not want is still to be read
            pass
    except BaseException:
        body.is_cut = True
        sink.close()
        if not working.cancel() and working.exception() is None:
            threads.begin(undo, working.result())
        raise
    return working.result()


class _Body(io.RawIOBase):
    """The reading end of a pipe, whose end is the body's only where nothing has cut it off."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_cut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = os.readv(self._descriptor, [buffer])
        if not size and self.is_cut:
            raise Unavailable("the client went away in the middle")
        return size

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _closing(body: _Body, work: Callable[[BinaryIO], T]) -> T:
    with io.BufferedReader(body, _BUFFER) as stream:
        try:
            return work(stream)
        except OSError as error:
            raise Unavailable(f"cannot read what was sent: {error}") from error
