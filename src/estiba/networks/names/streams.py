"""Questions over TCP, and the server that they are passed on to where the answer is not known here."""

from __future__ import annotations

import _socket
import struct
import time

from estiba.networks.names import message
from estiba.networks.names.passing_on import Servers, connected
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.networks.names.server import Loop

_READ, _WRITE = 1, 4  # POLLIN, POLLOUT
_GIVEN_UP = 30.0
"""Seconds after which a connection is idle, or nobody waits for an answer any more."""


class Streams:
    """The connections of a container's programs, `most` at once: one more takes the place of one that has asked
    nothing yet, or else of the oldest."""

    def __init__(
        self, loop: Loop, door: _socket.socket, servers: Servers, answered: Callable[[bytes], bytes | None], most: int
    ) -> None:
        self._loop = loop
        self._door = door
        self._servers = servers
        self._answered = answered
        self._most = most
        self._connections: list[Connection] = []
        self.listen()

    def listen(self) -> None:
        """Take connections in."""
        self._loop.watch(self._door.fileno(), _READ, lambda _events: self._connected())

    def close(self) -> None:
        self._loop.forget(self._door.fileno())
        for connection in list(self._connections):
            connection.close()

    def is_idle(self) -> bool:
        """Whether nobody is connected who may still get an answer."""
        for connection in list(self._connections):
            if time.monotonic() - connection.since > _GIVEN_UP:
                connection.close()
        return not self._connections

    def _connected(self) -> None:
        try:
            descriptor, _ = self._door._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no room for one more: it would be told of without end
            self._make_room()
            return
        socket = _socket.socket(fileno=descriptor)
        socket.setblocking(False)
        while len(self._connections) >= self._most:
            self._displaced().close()
        self._connections.append(Connection(self._loop, socket, self._answered, self._servers, self._left))

    def _make_room(self) -> None:
        if self._connections:
            self._displaced().close()
        else:  # until the next datagram comes, as resolvers send one first
            self._loop.forget(self._door.fileno())

    def _displaced(self) -> Connection:
        return next((one for one in self._connections if not one.has_asked), self._connections[0])

    def _left(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)


class Connection:
    """One client and its one question. `since` is when it came (monotonic seconds)."""

    def __init__(
        self,
        loop: Loop,
        client: _socket.socket,
        answered: Callable[[bytes], bytes | None],
        servers: Servers,
        left: Callable[[Connection], None],
    ) -> None:
        self.since = time.monotonic()
        self.has_asked = False
        self._loop = loop
        self._client = client
        self._answered = answered
        self._servers = servers
        self._untried = list(servers.in_order())
        self._left = left
        self._server: _socket.socket | None = None
        self._address = ""
        self._query = b""
        self._data = b""
        self._out = b""
        loop.watch(client.fileno(), _READ, lambda _events: self._read_client())

    def close(self) -> None:
        self._hang_up()
        self._loop.forget(self._client.fileno())
        self._client.close()
        self._left(self)

    def _read_client(self) -> None:
        data = _received(self._client)
        if data == b"":
            self.close()
            return
        query = self._whole(data)
        if query is None:
            return
        if message.parse(query) is None:
            self.close()
            return
        self.has_asked = True
        self._loop.forget(self._client.fileno())
        self._query = query
        answer = self._answered(query)
        if answer is None:
            self._ask_next()
        else:
            self._give(answer)

    def _ask_next(self) -> None:
        """To the next server; without one, that there is no answer."""
        self._hang_up()
        while self._untried:
            self._address = self._untried.pop(0)
            try:
                self._server = connected(_socket.SOCK_STREAM, self._address)
            except OSError:
                continue
            self._data, self._out = b"", struct.pack("!H", len(self._query)) + self._query
            self._loop.watch(self._server.fileno(), _WRITE, lambda _events: self._write_server())
            return
        asked = message.parse(self._query)
        assert asked is not None
        self._give(message.failure(asked, message.SERVER_FAILURE))

    def _write_server(self) -> None:
        assert self._server is not None
        try:
            self._out = self._out[self._server.send(self._out, _socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except OSError:
            self._servers.leave(self._address)
            self._ask_next()
            return
        if not self._out:
            self._loop.watch(self._server.fileno(), _READ, lambda _events: self._read_server())

    def _read_server(self) -> None:
        assert self._server is not None
        data = _received(self._server)
        if data == b"":
            self._ask_next()
            return
        answer = self._whole(data)
        if answer is not None:
            self._hang_up()
            self._give(answer)

    def _give(self, answer: bytes) -> None:
        self._out = struct.pack("!H", len(answer)) + answer
        self._loop.watch(self._client.fileno(), _WRITE, lambda _events: self._write_client())

    def _write_client(self) -> None:
        try:
            self._out = self._out[self._client.send(self._out, _socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except OSError:
            self._out = b""
        if not self._out:
            self.close()

    def _hang_up(self) -> None:
        if self._server is not None:
            self._loop.forget(self._server.fileno())
            self._server.close()
            self._server = None

    def _whole(self, data: bytes | None) -> bytes | None:
        """The message, once all of it is there."""
        self._data += data or b""
        if len(self._data) < 2:
            return None
        length = int.from_bytes(self._data[:2], "big")
        return self._data[2 : 2 + length] if len(self._data) >= 2 + length else None


def _received(socket: _socket.socket) -> bytes | None:
    """What has come, b"" where the other side has gone, None where nothing is there yet."""
    try:
        return socket.recv(1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return b""
