"""The loop's end of a connection to a container's monitor or to a keeper."""

from __future__ import annotations

import asyncio
import socket

from estiba.engine.frames import CHUNK, Connection, Frame, encoded


class Monitor:
    """Frames as they come, frames as they go. Give it a connection whose greeting has been read."""

    def __init__(self, connection: Connection) -> None:
        descriptor, self._decoder, self._frames = connection.release()
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._order = asyncio.Lock()
        self._sending: set[asyncio.Task[bool]] = set()
        self._is_closed = False

    async def receive(self) -> list[Frame]:
        """The next frames, at least one; [] when the other side is gone."""
        loop = asyncio.get_running_loop()
        while not self._frames:
            if self._is_closed:
                return []
            try:
                data = await loop.sock_recv(self._socket, CHUNK)
            except OSError:
                return []
            if not data:
                return []
            self._frames = self._decoder.feed(data)
        frames, self._frames = self._frames, []
        return frames

    async def send(self, kind: int, content: bytes | object = b"") -> bool:
        """Send one frame; False when nobody is there any more. It is sent whole, also when the caller is cancelled."""
        sending = asyncio.create_task(self._send(encoded(kind, content)))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return await asyncio.shield(sending)

    async def _send(self, data: bytes) -> bool:
        async with self._order:
            if self._is_closed:
                return False
            try:
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
            except OSError:
                return False
            return True

    def close(self) -> None:
        """To be called when nobody is in `receive`."""
        if self._is_closed:
            return
        self._is_closed = True
        for sending in self._sending:
            sending.cancel()
        if not self._sending:
            self._socket.close()

    def _sent(self, sending: asyncio.Task[bool]) -> None:
        self._sending.discard(sending)
        if self._is_closed and not self._sending:
            self._socket.close()
