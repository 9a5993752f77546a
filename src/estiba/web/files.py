"""Files that stream out: by sendfile(2) where the connection allows it, else in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import BinaryIO

from aiohttp import web

_SMALL = 64 * 1024
_PART = 256 * 1024


async def send_file(
    request: web.BaseRequest, file: BinaryIO, *, offset: int, count: int, status: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with `count` bytes of `file` from `offset` on. `file` is closed at the end.

    A client that goes away ends it: the connection is closed, nothing is raised.
    """
    with file:
        if count <= _SMALL:
            file.seek(offset)
            return web.Response(body=file.read(count), status=status, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = count
        try:
            await response.prepare(request)
            await _send(request, response, file, offset, count)
        except ConnectionError:
            response.force_close()
        return response


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, file: BinaryIO, offset: int, count: int
) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    writer = response._payload_writer
    send_headers = getattr(writer, "send_headers", None)
    if send_headers is not None:  # aiohttp holds the headers back to join them with the body, which goes past it here
        send_headers()
    loop = asyncio.get_running_loop()
    if hasattr(file, "fileno") and not transport.get_extra_info("ssl_object") and _has_descriptor(file):
        await loop.sendfile(transport, file, offset, count)
        # The writer did not see the bytes: tell it that the length is used up.
        if writer is not None:
            writer.length = 0
        return
    await loop.run_in_executor(None, file.seek, offset)
    while count > 0:
        part = await loop.run_in_executor(None, file.read, min(_PART, count))
        if not part:
            raise ConnectionResetError("the file became shorter")
        count -= len(part)
        await response.write(part)
    await response.write_eof()


def _has_descriptor(file: BinaryIO) -> bool:
    try:
        file.fileno()
    except (OSError, ValueError):
        return False
    return True
