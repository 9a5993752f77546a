"""The name server inside a container's network namespace, at the address that its resolv.conf names.

It answers for the containers of the same networks, and passes every other question on to the host's own servers, whose
answers it takes only where they are to the question that was asked. All of it happens in the loop of the monitor, which
a container must not be able to keep busy: questions that wait, connections and messages of one turn are bounded.
"""

from __future__ import annotations

import _socket
import time

from estiba.errors import EstibaError
from estiba.networks.addresses import address_bytes
from estiba.networks.names import message
from estiba.networks.names.passing_on import PassingOn, Servers
from estiba.networks.names.streams import Streams
from estiba.values import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from estiba.networks.names.directory import Directory

_LARGEST = 4096
_AT_ONCE = 32  # messages of one turn
_WAITING = 128  # questions that wait for an answer from outside
_CONNECTIONS = 16
_LIFETIME = 5  # seconds that an answer of ours holds: the container behind a name may be another soon
_READ = 1  # POLLIN


class Loop(Protocol):
    """What calls us when a descriptor is ready; `room` is how many more of them we may open."""

    room: int

    def watch(self, descriptor: int, mask: int, handler: Callable[[int], None]) -> None: ...

    def forget(self, descriptor: int) -> None: ...


class NameServer:
    """Answers at `doors` until it is closed. `upstream` are addresses of other name servers; `last` is when the last
    question came (monotonic seconds)."""

    def __init__(
        self, loop: Loop, doors: tuple[_socket.socket, _socket.socket], directory: Directory, *, upstream: Sequence[str]
    ) -> None:
        self.last = time.monotonic()
        self._loop = loop
        self._datagrams, self._door = doors
        self._directory = directory
        self._servers = Servers(upstream)
        # A connection that is passed on takes two descriptors.
        most_waiting, connections = min(_WAITING, loop.room // 2), max(1, min(_CONNECTIONS, loop.room // 4))
        self._passing_on = PassingOn(loop, self._servers, self._send, most_waiting)
        self._streams = Streams(loop, self._door, self._servers, self._answered, connections)
        loop.watch(self._datagrams.fileno(), _READ, self._asked)

    def close(self) -> None:
        self.let_go()
        self._datagrams.close()
        self._door.close()

    def let_go(self) -> None:
        """Answer no more, and leave the doors open for another."""
        self._passing_on.close()
        self._streams.close()
        self._loop.forget(self._datagrams.fileno())

    def state(self) -> dict[str, Any] | None:
        """What another program needs to go on: plain values and the numbers of the doors; None while somebody waits."""
        if not (self._passing_on.is_idle() and self._streams.is_idle()):
            return None
        return {
            "doors": [self._datagrams.fileno(), self._door.fileno()],
            "upstream": self._servers.addresses,
            "run": self._directory.run,
            "key": self._directory.key,
        }

    @property
    def descriptors(self) -> set[int]:
        """Those that are watched while nobody waits."""
        return {self._datagrams.fileno(), self._door.fileno()}

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
            return message.addresses(question, [address_bytes(one) for one in found], lifetime=_LIFETIME)
        if not self._servers.addresses or not self._directory.may_leave():
            return message.failure(question, message.SERVER_FAILURE)
        return None

    def _asked(self, _events: int) -> None:
        self.last = time.monotonic()
        self._streams.listen()
        for _ in range(_AT_ONCE):
            try:
                query, client = self._datagrams.recvfrom(_LARGEST)
            except OSError:
                return
            if message.parse(query) is None:
                continue
            answer = self._answered(query)
            if answer is None:
                self._passing_on.ask(query, client)
            else:
                self._send(answer, client)

    def _answered(self, query: bytes) -> bytes | None:
        self.last = time.monotonic()
        try:
            return self.answer(query)
        except (EstibaError, OSError):  # the ledger cannot be read at the moment
            question = message.parse(query)
            return message.failure(question, message.SERVER_FAILURE) if question else None

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        try:
            self._datagrams.sendto(answer, client)
        except OSError:
            pass  # its buffer is full, or it has gone: it asks again


def restored(loop: Loop, state: dict[str, Any]) -> NameServer:
    """As another program has left it (`NameServer.state`)."""
    from estiba.networks.names.directory import Directory

    datagrams, streams = (_socket.socket(fileno=number) for number in state["doors"])
    directory = Directory(run=state["run"], key=state["key"])
    return NameServer(loop, (datagrams, streams), directory, upstream=state["upstream"])
