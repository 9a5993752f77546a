"""Bodies of any size that stream in, with memory of a fixed size."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import web

from estiba.errors import InvalidInput, Unavailable

_BUFFER = 1 << 20
_MOST = 4 << 20
_SILENCE_SECONDS = 60


class BodyCut(Unavailable):
    """The other side went away in the middle; what came before was handed on."""

    def __init__(self, received: int) -> None:
        super().__init__(f"the connection was cut after {received} bytes")
        self.received = received


class BodyTooLarge(InvalidInput):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the limit of {limit} bytes")
        self.limit = limit


async def receive(request: web.BaseRequest, append: Callable[[bytes], None]) -> int:
    """Hand the body to `append`, in a worker thread, while the next part comes in; gives its length.

    A body that is cut is handed on as far as it came.

    Raises:
        BodyCut. Whatever `append` raises.
    """
    loop = asyncio.get_running_loop()
    pending: asyncio.Future[None] | None = None
    parts: list[bytes] = []
    held = received = 0
    try:
        while part := await _next_part(request):
            parts.append(part)
            held += len(part)
            received += len(part)
            # While a write is on its way the next parts are read: what lies unread when the connection is cut is lost.
            if held >= _MOST or (held >= _BUFFER and (pending is None or pending.done())):
                if pending is not None:
                    await pending
                pending = loop.run_in_executor(None, append, b"".join(parts))
                parts, held = [], 0
    except (ConnectionError, TimeoutError, aiohttp.ClientError, asyncio.CancelledError) as error:
        await _flush(pending, parts, append)
        if isinstance(error, asyncio.CancelledError):
            raise
        raise BodyCut(received) from error
    except BaseException:
        if pending is not None:
            await asyncio.wait([pending])
        raise
    await _flush(pending, parts, append)
    return received


async def _next_part(request: web.BaseRequest) -> bytes:
    """What has come, b"" at the end. A client that says nothing for a minute is taken for gone: TimeoutError."""
    async with asyncio.timeout(_SILENCE_SECONDS):
        return await request.content.readany()


async def _flush(pending: asyncio.Future[None] | None, parts: list[bytes], append: Callable[[bytes], None]) -> None:
    if pending is not None:
        await pending
    if parts:
        await asyncio.get_running_loop().run_in_executor(None, append, b"".join(parts))


async def read_all(request: web.BaseRequest, *, limit: int) -> bytes:
    """The whole body of a small document.

    Raises:
        BodyTooLarge: as soon as that is known. BodyCut.
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit)
    parts: list[bytes] = []
    size = 0
    try:
        while part := await _next_part(request):
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
    except (ConnectionError, TimeoutError, aiohttp.ClientError) as error:
        raise BodyCut(size) from error
    return b"".join(parts)
