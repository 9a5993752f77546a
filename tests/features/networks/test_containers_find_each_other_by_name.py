"""The name server in a container's network namespace, asked as its programs ask it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from estiba.engine.monitor.loop import Loop
from estiba.errors import InvalidInput
from estiba.linux import netns
from estiba.networks.names import doors, message
from estiba.networks.names.server import NameServer
from estiba.networks.networks import Networks
from estiba.networks.resolver import NAME_SERVER
from waiting import wait_until

from .conftest import HOST, PATIENCE, World

pytestmark = pytest.mark.root

ELSEWHERE = bytes([203, 0, 113, 5])


class Asking:
    """A container's name server and questions to it."""

    def __init__(self, namespace: int, networks: Networks, key: str, upstream: tuple[str, ...] = (HOST,)) -> None:
        self.namespace = namespace
        self.loop = Loop()
        self.server = NameServer(self.loop, doors.opened(namespace), networks.directory(key), upstream=upstream)
        self._wake, self._end = socket.socketpair()
        self.loop.watch(self._wake.fileno(), 1, lambda _events: None)
        self._stopped = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            self.loop.turn()

    def close(self) -> None:
        self._stopped = True
        self._end.send(b"x")
        self._thread.join()
        self.server.close()
        self._wake.close()
        self._end.close()

    def ask(self, name: str, kind: int = message.A, *, over: str = "udp", identity: int = 7) -> tuple[int, list[bytes]]:
        """The code of the answer, and the data of its records."""
        asked = query(name, kind, identity)
        with netns.Inside(self.namespace):
            client = socket.socket(type=socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
        with client:
            client.settimeout(PATIENCE / 2)
            client.connect((NAME_SERVER, 53))
            if over == "udp":
                client.send(asked)
                answer = client.recv(4096)
            else:
                client.sendall(struct.pack("!H", len(asked)) + asked)
                answer = client.recv(4096)[2:]
        assert message.is_answer(answer, asked)
        return answer[3] & 15, records(answer, len(asked))


def query(name: str, kind: int, identity: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def records(answer: bytes, place: int) -> list[bytes]:
    found = []
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        length = struct.unpack_from("!H", answer, place + 10)[0]
        found.append(answer[place + 12 : place + 12 + length])
        place += 12 + length
    return found


@pytest.fixture
def elsewhere(world: World) -> Iterator[list[bytes]]:
    """The host's own name server: it says ELSEWHERE to each question, after a false answer. Gives what it heard."""
    heard: list[bytes] = []
    stop = threading.Event()

    def answer_datagrams(server: socket.socket) -> None:
        while not stop.is_set():
            asked, client = server.recvfrom(4096)
            if stop.is_set():
                return
            heard.append(asked)
            false = message.parse(query("victim", message.A, 7))
            true = message.parse(asked)
            assert false is not None and true is not None
            server.sendto(message.addresses(false, [bytes(4)], lifetime=1), client)
            server.sendto(message.addresses(true, [ELSEWHERE], lifetime=1), client)

    def answer_stream(server: socket.socket) -> None:
        while not stop.is_set():
            connection, _ = server.accept()
            with connection:
                asked = connection.recv(4096)[2:]
                question = message.parse(asked)
                if question is not None:
                    answer = message.addresses(question, [ELSEWHERE], lifetime=1)
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    streams = socket.socket(type=socket.SOCK_STREAM)
    for one in (datagrams, streams):
        one.bind((HOST, 53))
    streams.listen()
    threads = [
        threading.Thread(target=answer_datagrams, args=(datagrams,)),
        threading.Thread(target=answer_stream, args=(streams,)),
    ]
    for thread in threads:
        thread.start()
    yield heard
    stop.set()
    with socket.socket(type=socket.SOCK_DGRAM) as last:
        last.sendto(b"end", (HOST, 53))
    socket.create_connection((HOST, 53)).close()
    for thread in threads:
        thread.join()
    datagrams.close()
    streams.close()


def test_a_container_is_found_by_its_name_its_aliases_and_its_id(world: World, networks: Networks, elsewhere) -> None:
    networks.create("inner")
    networks.create("other")
    one, two, three = (world.container(networks) for _ in range(3))
    networks.attach(one, key="1" * 64, network="inner", hostname="web", aliases=("www", "Front"))
    endpoint = networks.attach(two, key="2" * 64, network="inner", hostname="db")
    networks.attach(three, key="3" * 64, network="other", hostname="stranger")
    asking = Asking(one, networks, "1" * 64)
    try:
        address = socket.inet_aton(endpoint.address)
        for name in ("db", "DB", "2" * 12, "db.inner"):
            for over in ("udp", "tcp"):
                assert asking.ask(name, over=over) == (message.NO_ERROR, [address])
        assert asking.ask("front") == asking.ask("www") == asking.ask("web")
        assert asking.ask("db", message.AAAA) == (message.NO_ERROR, [])
        back = ".".join(reversed(endpoint.address.split("."))) + ".in-addr.arpa"
        assert asking.ask(back, message.PTR) == (message.NO_ERROR, [b"\2db\5inner\0"])
        assert asking.ask("stranger")[1] == [ELSEWHERE]  # of another network: not ours to know
        networks.detach("2" * 64)
        assert asking.ask("web")[0] == message.NO_ERROR
        networks.rename("1" * 64, "renamed")
        wait_until(lambda: asking.ask("renamed")[1] == asking.ask("front")[1], "the new name is known")
    finally:
        asking.close()
        for key in "123":
            networks.detach(key * 64)


def test_what_is_not_known_here_is_asked_elsewhere(world: World, networks: Networks, elsewhere: list[bytes]) -> None:
    networks.create("inner")
    one = world.container(networks)
    networks.attach(one, key="c1", network="inner", hostname="web")
    asking = Asking(one, networks, "c1")
    try:
        assert asking.ask("example.org") == (message.NO_ERROR, [ELSEWHERE])  # and not what was said first
        assert asking.ask("example.org", over="tcp") == (message.NO_ERROR, [ELSEWHERE])
        assert len(elsewhere) == 1
        assert asking.ask("web")[0] == message.NO_ERROR and len(elsewhere) == 1
    finally:
        asking.close()
        networks.detach("c1")


def test_an_internal_network_asks_nobody(world: World, networks: Networks, elsewhere: list[bytes]) -> None:
    networks.create("closed", internal=True)
    one = world.container(networks)
    networks.attach(one, key="c1", network="closed", hostname="web")
    asking = Asking(one, networks, "c1")
    try:
        assert asking.ask("example.org") == (message.SERVER_FAILURE, [])
        assert asking.ask("web")[0] == message.NO_ERROR
        assert elsewhere == []
    finally:
        asking.close()
        networks.detach("c1")


def test_a_container_may_be_a_name_server_itself(world: World, networks: Networks, elsewhere) -> None:
    networks.create("inner")
    one = world.container(networks)
    networks.attach(one, key="c1", network="inner", hostname="web")
    asking = Asking(one, networks, "c1")
    try:
        with netns.Inside(one):
            own = [socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_STREAM)]
        for each in own:
            each.bind(("0.0.0.0", 53))
            each.close()
    finally:
        asking.close()
        networks.detach("c1")


def test_a_flood_of_questions_stays_bounded(world: World, networks: Networks) -> None:
    """Nobody answers at the peer: what waits is dropped, the oldest first."""
    networks.create("inner")
    one = world.container(networks)
    networks.attach(one, key="c1", network="inner", hostname="web")
    asking = Asking(one, networks, "c1", upstream=("198.51.100.77",))
    try:
        with netns.Inside(one):
            client = socket.socket(type=socket.SOCK_DGRAM)
        with client:
            for number in range(1000):
                client.sendto(query("example.org", message.A, number), (NAME_SERVER, 53))
        for _ in range(5):  # what the kernel had no room for is lost, as a program's resolver expects
            try:
                assert asking.ask("web")[0] == message.NO_ERROR
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("nobody answers any more")
        assert len(asking.server._passing_on.waiting) <= 128
    finally:
        asking.close()
        networks.detach("c1")


def test_an_alias_that_nobody_could_ask_for_is_refused(world: World, networks: Networks) -> None:
    networks.create("inner")
    one = world.container(networks)
    for alias in ("two words", ".web", "web.", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "\udcff"):
        with pytest.raises(InvalidInput, match="no name that others could ask for"):
            networks.attach(one, key="c1", network="inner", aliases=(alias,))
