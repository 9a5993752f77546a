"""What answers a container's questions about names: with whatever it is asked, and whoever else answers or does not."""

from __future__ import annotations

import _socket
import errno
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.engine.monitor.loop import Loop
from estiba.networks.names import message, passing_on
from estiba.networks.names.passing_on import PassingOn, Servers
from estiba.networks.names.server import NameServer
from estiba.networks.names.streams import Streams

FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "::1"


def query(name: str, *, identity: int = 7) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", message.A, 1)


def said(asked: bytes, code: int = 0) -> bytes:
    question = message.parse(asked)
    assert question is not None
    return message.failure(question, code)


class Names:
    """A directory in which everything that is asked for has the name that was asked for."""

    run = key = ""

    def __init__(self, known: bool) -> None:
        self._known = known

    def find(self, name: str) -> tuple[str, ...]:
        return ("10.0.0.1", "10.0.0.2") if self._known else ()

    def name_of(self, address: str) -> str:
        return address * 9 if self._known else ""

    def may_leave(self) -> bool:
        return True


@pytest.fixture(scope="module")
def servers() -> Iterator[list[NameServer]]:
    made = []
    for known in (True, False):
        doors = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        made.append(NameServer(Loop(), doors, Names(known), upstream=(FIRST,)))  # type: ignore[arg-type]
    yield made
    for server in made:
        server.close()


questions = st.builds(
    lambda head, labels, tail: head + b"".join(bytes([len(one)]) + one for one in labels) + b"\0" + tail,
    st.binary(min_size=2, max_size=2).map(lambda two: two + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0)),
    st.lists(st.binary(min_size=1, max_size=63), max_size=5)
    | st.lists(st.integers(0, 255).map(lambda n: str(n).encode()), min_size=4, max_size=4).map(
        lambda parts: [*parts, b"in-addr", b"arpa"]
    ),
    st.sampled_from([message.A, message.PTR, message.AAAA, message.ANY]).map(lambda kind: struct.pack("!HH", kind, 1)),
)


@given(st.binary(max_size=300) | questions)
def test_no_question_makes_it_fail(servers: list[NameServer], data: bytes) -> None:
    for server in servers:
        answer = server.answer(data)
        assert answer is None or message.is_answer(answer, data)


@given(st.text(max_size=300))
def test_a_name_is_told_whole_or_not_at_all(name: str) -> None:
    data = message.encoded(name)
    if data is not None:
        question = message.parse(struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + data + struct.pack("!HH", message.A, 1))
        assert question is not None and question.name == message.in_ascii(name).lower()


class World:
    """Three servers of the host at the same port, and a loop that passes questions on to them."""

    def __init__(self) -> None:
        self.servers = {address: self._bound(address) for address in (FIRST,)}
        self.port = self.servers[FIRST].getsockname()[1]
        self.loop = Loop()
        self.told: list[tuple[bytes, int]] = []
        self.passing: list[PassingOn] = []

    def _bound(self, address: str, port: int = 0) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(5)
        made.bind((address, port))
        return made

    def add(self, address: str) -> None:
        self.servers[address] = self._bound(address, self.port)

    def passing_on(self, *addresses: str, most: int = 8) -> PassingOn:
        made = PassingOn(self.loop, Servers(addresses), lambda answer, to: self.told.append((answer, to[1])), most)
        self.passing.append(made)
        return made

    def close(self) -> None:
        for one in (*self.passing, *self.servers.values()):
            one.close()

    def answers(self, address: str, code: int = 0) -> None:
        asked, client = self.servers[address].recvfrom(512)
        self.servers[address].sendto(said(asked, code), client)

    def turn_until_told(self) -> tuple[bytes, int]:
        deadline = time.monotonic() + 5
        while not self.told and time.monotonic() < deadline:
            self.loop.turn(deadline)
        return self.told.pop(0)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(passing_on, "_PORT", made.port)
    yield made
    made.close()


def test_a_server_that_is_not_there_is_left_at_once(world: World) -> None:
    world.add(THIRD)
    passing = world.passing_on(SECOND, THIRD)  # nobody is at SECOND
    passing.ask(query("a"), ("c", 1))
    while not passing._servers.is_first(THIRD):
        world.loop.turn(time.monotonic() + 1)
    world.answers(THIRD)
    assert world.turn_until_told() == (said(query("a")), 1)
    passing.ask(query("b"), ("c", 1))
    world.answers(THIRD)
    assert world.turn_until_told() == (said(query("b")), 1)


def test_where_nobody_is_the_container_hears_so(world: World) -> None:
    passing = world.passing_on(SECOND, "127.0.0.3", "192.0.2.1%nowhere", "not an address", "fe80::1%nowhere")
    passing.ask(query("a"), ("c", 1))
    assert world.turn_until_told() == (said(query("a"), message.SERVER_FAILURE), 1)
    assert not passing.waiting and not world.loop.descriptors


def test_a_server_that_could_not_is_not_the_last_to_be_asked(world: World) -> None:
    world.add(SECOND)
    passing = world.passing_on(FIRST, SECOND)
    passing.ask(query("a"), ("c", 1))
    world.answers(FIRST, message.REFUSED)
    world.loop.turn(time.monotonic() + 5)
    world.answers(SECOND)
    assert world.turn_until_told() == (said(query("a")), 1)


def test_what_all_servers_refuse_is_refused(world: World) -> None:
    passing = world.passing_on(FIRST)
    passing.ask(query("a"), ("c", 1))
    world.answers(FIRST, message.REFUSED)
    assert world.turn_until_told() == (said(query("a"), message.REFUSED), 1)


def test_whoever_asks_again_is_answered_by_another_server(world: World) -> None:
    """With a new number from a new port, as many resolvers do."""
    world.add(SECOND)
    passing = world.passing_on(FIRST, SECOND)
    passing.ask(query("a"), ("c", 1))
    passing.ask(query("a", identity=8), ("c", 2))
    world.answers(SECOND)
    assert world.turn_until_told() == (said(query("a", identity=8)), 2)


def test_a_silent_server_is_not_the_first_for_other_questions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing_on, "_PATIENCE", 0.0)
    world.add(SECOND)
    passing = world.passing_on(FIRST, SECOND)
    passing.ask(query("a"), ("c", 1))
    passing.ask(query("b"), ("c", 2))
    world.answers(SECOND)
    assert world.turn_until_told() == (said(query("b")), 2)


def test_who_asks_much_does_not_displace_who_asks_little(world: World) -> None:
    passing = world.passing_on(FIRST, most=4)
    passing.ask(query("a"), ("quiet", 1))
    for number in range(20):
        passing.ask(query("b", identity=number), ("loud", 2))
    assert len(passing.waiting) == 4
    assert [one for one in passing.waiting if one[0] == "quiet"]
    passing.close()
    assert not world.loop.descriptors


def test_without_descriptors_left_a_question_is_answered_and_not_fatal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    passing = world.passing_on(FIRST)
    monkeypatch.setattr(passing_on._socket, "socket", none_left)
    passing.ask(query("a"), ("c", 1))
    assert world.told == [(said(query("a"), message.SERVER_FAILURE), 1)]


def test_a_connection_for_which_there_is_no_descriptor_is_not_waited_for_in_a_circle() -> None:
    class Door:
        def fileno(self) -> int:
            return reading

        def _accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    one, other = socket.socketpair()
    reading = one.fileno()
    other.send(b"x")  # somebody is always there
    loop = Loop()
    streams = Streams(loop, Door(), Servers(()), lambda _query: None, 4)  # type: ignore[arg-type]
    assert loop.turn(time.monotonic() + 1)
    assert not loop.descriptors
    streams.listen()  # with the next datagram
    assert loop.descriptors
    streams.close()
    one.close()
    other.close()


def test_an_idle_connection_makes_place_for_another(world: World) -> None:
    door = socket.create_server((FIRST, 0))
    door.setblocking(False)
    made = _socket.socket(fileno=door.detach())
    asked: list[bytes] = []
    streams = Streams(world.loop, made, Servers(()), lambda query: asked.append(query) or said(query), 2)  # type: ignore[func-returns-value]
    clients = [socket.create_connection(made.getsockname(), timeout=5) for _ in range(3)]
    for _ in clients:
        world.loop.turn(time.monotonic() + 5)
    assert clients[0].recv(1) == b""
    data = struct.pack("!H", len(query("a"))) + query("a")
    clients[2].sendall(data)
    while not asked:
        world.loop.turn(time.monotonic() + 5)
    world.loop.turn(time.monotonic() + 5)
    assert clients[2].recv(512)[2:] == said(query("a"))
    streams.close()
    made.close()
    for client in clients:
        client.close()
