"""Requests that go out: one session's settings, and the HTTP library's errors in words that people understand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO

import aiohttp

_CONNECT_SECONDS = 15
_SILENCE_SECONDS = 60
_PART = 1 << 20

# What a connection may end with; everything else is a fault of ours.
CONNECTION_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


def open_session(*, agent: str) -> aiohttp.ClientSession:
    """A session without cookies and without a limit on the whole of a transfer: only silence ends one.

    Bodies keep the encoding that they have: digests are of bytes.
    """
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": agent, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS),
        read_bufsize=_PART,
    )


def is_hopeless(error: BaseException) -> bool:
    """Whether trying again cannot help: a certificate, a malformed address."""
    return isinstance(error, aiohttp.InvalidURL | aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError)


def reason(error: BaseException) -> str:
    """What happened, without the library's decoration."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        return f"its certificate is not trusted: {getattr(inner, 'verify_message', '') or inner}"
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        if isinstance(inner, ssl.SSLError):
            return f"no TLS connection: {inner.reason or inner}"
        return inner.strerror or str(inner)
    if isinstance(error, TimeoutError):
        return f"no answer for {_SILENCE_SECONDS} seconds"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def unread(stream: aiohttp.StreamReader) -> bytes:
    """What of a body had come before it was cut; the stream itself gives nothing but the error then."""
    buffer = list(getattr(stream, "_buffer", ()))
    return b"".join(buffer)[getattr(stream, "_buffer_offset", 0) :]


async def parts_of(open_file: Callable[[], BinaryIO], offset: int = 0) -> AsyncGenerator[bytes, None]:
    """A file as a body, from `offset` on: read ahead in a worker thread while the part before is sent."""
    loop = asyncio.get_running_loop()
    with open_file() as file:
        file.seek(offset)
        following = loop.run_in_executor(None, file.read, _PART)
        try:
            while part := await following:
                following = loop.run_in_executor(None, file.read, _PART)
                yield part
        finally:
            await asyncio.wait([following])
