"""The name server inside a container's network namespace, at the address that its resolv.conf names.

It answers for the containers of the same networks, and passes every other question on to the host's own servers, whose
answers it takes only where they are to the question that was asked. All of it happens in the loop of the monitor, which
a container must not be able to keep busy: questions that wait, connections and messages of one turn are bounded.
"""

from __future__ import annotations

import _socket
import struct

from estiba.errors import EstibaError
from estiba.linux import netns, nftables
from estiba.networks.addresses import address_bytes
from estiba.networks.names import message
from estiba.networks.names.directory import Directory
from estiba.networks.resolver import NAME_SERVER
from estiba.values import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PORT = 53
_LARGEST = 4096
_AT_ONCE = 32  # messages of one turn
_WAITING = 128  # questions that wait for an answer from outside
_CONNECTIONS = 16
_LIFETIME = 5  # seconds that an answer of ours holds: the container behind a name may be another soon
_READ, _WRITE = 1, 4  # POLLIN, POLLOUT


class Loop(Protocol):
    """What calls us when a descriptor is ready."""

    def watch(self, descriptor: int, mask: int, handler: Callable[[int], None]) -> None: ...

    def forget(self, descriptor: int) -> None: ...


class NameServer:
    """Answers in the namespace `netns_fd` until it is closed. `upstream` are addresses of other name servers.

    Raises:
        OSError: the namespace cannot be entered.
    """

    def __init__(self, loop: Loop, netns_fd: int, directory: Directory, *, upstream: Sequence[str]) -> None:
        self._loop = loop
        self._directory = directory
        self._upstream = tuple(upstream)
        self._waiting: dict[tuple[str, int, bytes], _Question] = {}
        self._connections: list[_Connection] = []
        self._turn = 0
        with netns.Inside(netns_fd):
            self._datagrams, self._streams = _open()
        loop.watch(self._datagrams.fileno(), _READ, self._asked)
        loop.watch(self._streams.fileno(), _READ, self._connected)

    def close(self) -> None:
        for question in list(self._waiting.values()):
            self._drop(question)
        for connection in list(self._connections):
            connection.close()
        for socket in (self._datagrams, self._streams):
            self._loop.forget(socket.fileno())
            socket.close()

    def answer(self, query: bytes) -> bytes | None:
        """What this server knows itself; None where others are to be asked."""
        question = message.parse(query)
        if question is None:
            return None
        address = message.reversed_address(question.name)
        if address:
            name = self._directory.name_of(address)
            if name and question.kind in (message.PTR, message.ANY):
                return message.pointer(question, name, lifetime=_LIFETIME)
        elif found := self._directory.find(question.name):
            self._turn += 1  # several with one name share the load
            turned = [address_bytes(found[(at + self._turn) % len(found)]) for at in range(len(found))]
            return message.addresses(question, turned, lifetime=_LIFETIME)
        if not self._upstream or not self._directory.may_leave():
            return message.failure(question, message.SERVER_FAILURE)
        return None

    # Datagrams

    def _asked(self, _events: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                query, client = self._datagrams.recvfrom(_LARGEST)
            except OSError:
                return
            if message.parse(query) is None:
                continue
            answer = self._answered(query)
            if answer is None:
                self._pass_on(query, client)
            else:
                self._send(answer, client)

    def _answered(self, query: bytes) -> bytes | None:
        try:
            return self.answer(query)
        except (EstibaError, OSError):  # the ledger cannot be read at the moment
            question = message.parse(query)
            return message.failure(question, message.SERVER_FAILURE) if question else None

    def _pass_on(self, query: bytes, client: tuple[str, int]) -> None:
        """To the first of the others; when the client asks again, to the next."""
        key = (*client, query[:2])
        before = self._waiting.get(key)
        turn = 0
        if before is not None:
            turn = before.turn + 1
            self._drop(before)
        elif len(self._waiting) >= _WAITING:
            self._drop(next(iter(self._waiting.values())))  # the oldest: its client has long stopped waiting
        server = self._upstream[turn % len(self._upstream)]
        socket = _new_socket(_socket.SOCK_DGRAM)
        try:
            socket.connect((server, _PORT))
            socket.send(query)
        except OSError:
            socket.close()
            return
        question = _Question(key, client, query, socket, turn)
        self._waiting[key] = question
        self._loop.watch(socket.fileno(), _READ, lambda _events: self._told(question))

    def _told(self, question: _Question) -> None:
        try:
            answer = question.socket.recv(1 << 16)
        except OSError:  # refused: the client asks again, and then another server
            return
        if message.is_answer(answer, question.query):
            self._drop(question)
            self._send(answer, question.client)

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        try:
            self._datagrams.sendto(answer, client)
        except OSError:
            pass  # its buffer is full, or it has gone: it asks again

    def _drop(self, question: _Question) -> None:
        self._waiting.pop(question.key, None)
        self._loop.forget(question.socket.fileno())
        question.socket.close()

    # Connections

    def _connected(self, _events: int) -> None:
        try:
            descriptor, _ = self._streams._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        socket = _socket.socket(fileno=descriptor)
        socket.setblocking(False)
        while len(self._connections) >= _CONNECTIONS:
            self._connections[0].close()
        self._connections.append(_Connection(self._loop, socket, self._answered, self._upstream, self._left))

    def _left(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)


class _Question:
    """A question that another server was asked. `turn` says which."""

    __slots__ = ("client", "key", "query", "socket", "turn")

    def __init__(
        self, key: tuple[str, int, bytes], client: tuple[str, int], query: bytes, socket: _socket.socket, turn: int
    ) -> None:
        self.key = key
        self.client = client
        self.query = query
        self.socket = socket
        self.turn = turn


class _Connection:
    """A client over TCP, and the server that it is passed on to where we do not know the answer: one question."""

    def __init__(
        self,
        loop: Loop,
        client: _socket.socket,
        answered: Callable[[bytes], bytes | None],
        upstream: Sequence[str],
        left: Callable[[_Connection], None],
    ) -> None:
        self._loop = loop
        self._client = client
        self._answered = answered
        self._upstream = upstream
        self._left = left
        self._server: _socket.socket | None = None
        self._data = b""
        self._out = b""
        loop.watch(client.fileno(), _READ, self._read_client)

    def close(self) -> None:
        for socket in (self._client, self._server):
            if socket is not None:
                self._loop.forget(socket.fileno())
                socket.close()
        self._left(self)

    def _read_client(self, _events: int) -> None:
        query = self._read(self._client)
        if query is None:
            return
        if message.parse(query) is None:
            self.close()
            return
        self._loop.forget(self._client.fileno())
        answer = self._answered(query)
        if answer is not None:
            self._give(answer)
            return
        self._server = _new_socket(_socket.SOCK_STREAM)
        try:
            self._server.connect((self._upstream[0], _PORT))
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._data, self._out = b"", struct.pack("!H", len(query)) + query
        self._loop.watch(self._server.fileno(), _WRITE, self._write_server)

    def _write_server(self, _events: int) -> None:
        assert self._server is not None
        try:
            self._out = self._out[self._server.send(self._out) :]
        except OSError:
            self.close()
            return
        if not self._out:
            self._loop.watch(self._server.fileno(), _READ, self._read_server)

    def _read_server(self, _events: int) -> None:
        assert self._server is not None
        answer = self._read(self._server)
        if answer is not None:
            self._loop.forget(self._server.fileno())
            self._give(answer)

    def _give(self, answer: bytes) -> None:
        self._out = struct.pack("!H", len(answer)) + answer
        self._loop.watch(self._client.fileno(), _WRITE, self._write_client)

    def _write_client(self, _events: int) -> None:
        try:
            self._out = self._out[self._client.send(self._out) :]
        except OSError:
            self._out = b""
        if not self._out:
            self.close()

    def _read(self, socket: _socket.socket) -> bytes | None:
        """The message, once it is there; None before, and where the other side has gone."""
        try:
            data = socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return None
        self._data += data
        if len(self._data) < 2:
            return None
        length = int.from_bytes(self._data[:2], "big")
        return self._data[2 : 2 + length] if len(self._data) >= 2 + length else None


def _open() -> tuple[_socket.socket, _socket.socket]:
    """The sockets of a server, in the namespace that the thread is in.

    They have ports of their own, to which the packet filter leads what is sent to the usual one: a container that is a
    name server itself finds that one free. Without a packet filter they are at the usual one.
    """
    sockets = _bound(0)
    ports = [socket.getsockname()[1] for socket in sockets]
    try:
        nftables.run_script(_rules(*ports))
    except EstibaError:
        for socket in sockets:
            socket.close()
        sockets = _bound(_PORT)
    sockets[1].listen(_CONNECTIONS)
    return sockets


def _bound(port: int) -> tuple[_socket.socket, _socket.socket]:
    found = []
    for kind in (_socket.SOCK_DGRAM, _socket.SOCK_STREAM):
        socket = _new_socket(kind)
        socket.bind((NAME_SERVER, port))
        found.append(socket)
    return found[0], found[1]


def _new_socket(kind: int) -> _socket.socket:
    return _socket.socket(_socket.AF_INET, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)


def _rules(datagrams: int, streams: int) -> str:
    return f"""table ip estiba_names {{
  chain questions {{
    type nat hook output priority -100; policy accept;
    ip daddr {NAME_SERVER} udp dport {_PORT} dnat to {NAME_SERVER}:{datagrams}
    ip daddr {NAME_SERVER} tcp dport {_PORT} dnat to {NAME_SERVER}:{streams}
  }}
}}
"""
