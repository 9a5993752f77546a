"""The host's own name servers: which of them is asked, and when another one.

A server that refuses is left at once, and so is one whose answer says that it could not. One that says nothing is left
when the container asks again, or asks something else after a while; the next question begins with the other one.
"""

from __future__ import annotations

import _socket
import time

from estiba.networks.names import message
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from estiba.networks.names.server import Loop

_PORT = 53
_LARGEST = 1 << 16
_READ = 1  # POLLIN
_PATIENCE = 2.0
"""Seconds of silence after which a server is not the first to be asked any more."""
_GIVEN_UP = 30.0
"""Seconds after which nobody waits for an answer any more."""
_COULD_NOT = (message.SERVER_FAILURE, message.NOT_IMPLEMENTED, message.REFUSED)


class Servers:
    """Their addresses, IPv4 and IPv6 (``fe80::1%eth0`` too), and which is the first to be asked."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(address for address in addresses if _family(address) is not None)
        self._first = 0

    def in_order(self) -> tuple[str, ...]:
        return (*self.addresses[self._first :], *self.addresses[: self._first])

    def is_first(self, address: str) -> bool:
        return self.addresses[self._first] == address

    def leave(self, address: str) -> None:
        """It does not answer."""
        if self.is_first(address):
            self._first = (self._first + 1) % len(self.addresses)


def connected(kind: int, address: str) -> _socket.socket:
    """A socket that talks with the server at `address`, or is about to.

    Raises:
        OSError: it cannot be reached, or there is no room for a socket.
    """
    family = _family(address)
    assert family is not None
    socket = _socket.socket(family, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    host, _, link = address.partition("%")
    try:
        if family == _socket.AF_INET:
            socket.connect((host, _PORT))
        else:
            socket.connect((host, _PORT, 0, _scope(link)))
    except BlockingIOError:
        pass
    except OSError:
        socket.close()
        raise
    return socket


def _family(address: str) -> int | None:
    host, _, _ = address.partition("%")
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family
    return None


def _scope(link: str) -> int:
    if not link:
        return 0
    return int(link) if link.isdigit() else _socket.if_nametoindex(link)


class _Question:
    """What a container waits for. `tried` are the servers that were asked, `refusal` what one of them said."""

    __slots__ = ("asked", "client", "query", "refusal", "server", "socket", "tried")

    def __init__(self, query: bytes, client: tuple[str, int], tried: tuple[str, ...]) -> None:
        self.query = query
        self.client = client
        self.tried = tried
        self.refusal = b""
        self.server = ""
        self.socket: _socket.socket | None = None
        self.asked = 0.0

    @property
    def key(self) -> tuple[str, int, bytes]:
        return (*self.client, self.query[:2])


class PassingOn:
    """Questions that wait for another server, `most` at once. `tell` takes the answer and whose it is."""

    def __init__(self, loop: Loop, servers: Servers, tell: Callable[[bytes, tuple[str, int]], None], most: int) -> None:
        self.waiting: dict[tuple[str, int, bytes], _Question] = {}
        self._loop = loop
        self._servers = servers
        self._tell = tell
        self._most = most

    def ask(self, query: bytes, client: tuple[str, int]) -> None:
        """Pass a question on; when it was asked before and has no answer yet, to the next server."""
        self._leave_silent()
        question = _Question(query, client, self._tried(query))
        if question.key in self.waiting:
            self._drop(self.waiting[question.key])
        elif len(self.waiting) >= self._most:
            self._drop(self._displaced())
        self.waiting[question.key] = question
        self._ask_next(question)

    def close(self) -> None:
        for question in list(self.waiting.values()):
            self._drop(question)

    def is_idle(self) -> bool:
        """Whether nobody waits for an answer, who may still get one."""
        for question in list(self.waiting.values()):
            if time.monotonic() - question.asked > _GIVEN_UP:
                self._drop(question)
        return not self.waiting

    def _tried(self, query: bytes) -> tuple[str, ...]:
        """Who was asked the same before in vain, whatever number it had then."""
        same = [one for one in self.waiting.values() if one.query[2:] == query[2:]]
        tried = max(same, key=lambda one: one.asked).tried if same else ()
        return () if len(tried) >= len(self._servers.addresses) else tried

    def _leave_silent(self) -> None:
        oldest = next((one for one in self.waiting.values() if self._servers.is_first(one.server)), None)
        if oldest is not None and time.monotonic() - oldest.asked > _PATIENCE:
            self._servers.leave(oldest.server)

    def _displaced(self) -> _Question:
        """The oldest question of whoever has the most of them: who asks little is not displaced by who asks much."""
        number: dict[tuple[str, int], int] = {}
        for question in self.waiting.values():
            number[question.client] = number.get(question.client, 0) + 1
        most = max(number.values())
        return next(question for question in self.waiting.values() if number[question.client] == most)

    def _ask_next(self, question: _Question) -> None:
        """To the next server that was not asked yet; without one, what was said last is the answer."""
        for server in self._servers.in_order():
            if server in question.tried:
                continue
            question.tried += (server,)
            try:
                socket = connected(_socket.SOCK_DGRAM, server)
            except OSError:
                continue
            try:
                socket.send(question.query)
            except OSError:
                socket.close()
                continue
            question.server, question.socket, question.asked = server, socket, time.monotonic()
            self._loop.watch(socket.fileno(), _READ, lambda _events: self._told(question))
            return
        self._drop(question)
        asked = message.parse(question.query)
        assert asked is not None
        self._tell(question.refusal or message.failure(asked, message.SERVER_FAILURE), question.client)

    def _told(self, question: _Question) -> None:
        assert question.socket is not None
        try:
            answer = question.socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # nobody is there
            self._servers.leave(question.server)
            self._hang_up(question)
            self._ask_next(question)
            return
        if not message.is_answer(answer, question.query):
            return
        if message.code(answer) in _COULD_NOT:
            question.refusal = answer
            self._hang_up(question)
            self._ask_next(question)
            return
        self._drop(question)
        self._tell(answer, question.client)

    def _hang_up(self, question: _Question) -> None:
        if question.socket is not None:
            self._loop.forget(question.socket.fileno())
            question.socket.close()
            question.socket = None

    def _drop(self, question: _Question) -> None:
        self.waiting.pop(question.key, None)
        self._hang_up(question)
