"""Raw streams: a connection that was HTTP and from now on carries bytes both ways (RFC 9110, 7.8; Docker's hijacking).

The protocol of the HTTP library is put aside, for it takes a client that has sent all (a half-closed connection) for
one that has gone. Over TLS there are no half-closed connections.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

_MOST_WAITING = 1 << 18


class StreamClosed(ConnectionError):
    """The client has gone."""


class RawStream(asyncio.Protocol):
    """`read` gives b"" when the client has sent all; `write` waits while the client is behind."""

    def __init__(self, transport: asyncio.Transport, http: asyncio.Protocol, head: bytes) -> None:
        self._transport = transport
        self._http = http
        self._received = bytearray(head)
        self._at_end = False
        self._is_lost = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        if head:
            self._readable.set()

    @property
    def is_lost(self) -> bool:
        """Whether the client has gone for good, not only sent all."""
        return self._is_lost

    async def read(self) -> bytes:
        """What has come, at least one byte; b"" at the end."""
        while not self._received:
            if self._at_end:
                return b""
            await self._readable.wait()
        data = bytes(self._received)
        self._received.clear()
        if not self._at_end:
            self._readable.clear()
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send `data`.

        Raises:
            StreamClosed.
        """
        if self._is_lost or self._transport.is_closing():
            raise StreamClosed("the client has gone")
        self._transport.write(data)
        await self._writable.wait()

    async def close(self) -> None:
        """Send what is waiting, then end the connection."""
        self._transport.close()
        await self._closed.wait()

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._readable.set()
        if len(self._received) > _MOST_WAITING:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._at_end = True
        self._readable.set()
        return True  # stay: the answer is still to be sent

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = self._is_lost = True
        self._readable.set()
        self._writable.set()
        self._closed.set()
        self._http.connection_lost(exc)


def take_over(request: web.BaseRequest, *, content_type: str) -> RawStream:
    """Answer a request whose body has been read, and have its connection as a raw stream.

    A client that asked for an upgrade to ``tcp`` gets 101, another one 200 and a body without end.

    Raises:
        StreamClosed: the client has gone already.
    """
    transport, http = request.transport, request.protocol
    if transport is None or transport.is_closing():
        raise StreamClosed("the client has gone")
    assert isinstance(transport, asyncio.Transport)
    head = getattr(http, "_message_tail", b"")  # what the client sent right behind its request
    stream = RawStream(transport, http, head)
    transport.set_protocol(stream)
    if not transport.is_reading():
        transport.resume_reading()
    if request.headers.get("Upgrade", "").lower() == "tcp":
        first = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    else:
        first = "HTTP/1.1 200 OK\r\n"
    transport.write(f"{first}Content-Type: {content_type}\r\n\r\n".encode())
    return stream
