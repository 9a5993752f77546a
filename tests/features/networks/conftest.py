"""A small world of network namespaces: a host, and a peer on its wire. The machine's own network is not touched."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from estiba.linux import links, namespaces, netns, sysctl
from estiba.linux.netlink import NETLINK_ROUTE, NetlinkSocket
from estiba.networks.networks import Networks

HOST = "198.51.100.1"
PEER = "198.51.100.2"
PATIENCE = 5.0  # seconds that an answer may take
SILENCE = 0.3  # seconds without an answer that show that a packet was dropped


class World:
    """`host` is where the test's thread is; `peer` is another machine on its wire, whose address is its gateway."""

    def __init__(self) -> None:
        self._outside = namespaces.open_namespace(os.getpid(), "network")
        self._stop, self._stopped = os.pipe()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._namespaces: list[int] = []
        namespaces.unshare(namespaces.CLONE_NEWNET)
        self.host = namespaces.open_namespace(os.getpid(), "network")
        self.peer = self.keep(netns.make())
        sysctl.write("net/ipv4/ip_forward", "0")
        sysctl.write("net/ipv4/conf/default/forwarding", "0")
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            netlink.transact([links.link_up(links.LOOPBACK_INDEX)])
            netlink.transact([links.new_bridge("wire0", mac="02:00:00:00:00:01", mtu=1400)])
            wire = links.index_of("wire0")
            assert wire is not None
            pair = links.new_veth(
                "wire1", master=wire, peer="eth0", peer_namespace=self.peer, peer_mac="02:00:00:00:00:02", mtu=1400
            )
            netlink.transact([pair, links.new_address(wire, HOST, 24), links.link_up(wire), links.default_route(PEER)])
        with netns.Inside(self.peer), NetlinkSocket(NETLINK_ROUTE) as netlink:
            end = links.index_of("eth0")
            assert end is not None
            netlink.transact([links.link_up(links.LOOPBACK_INDEX), links.new_address(end, PEER, 24)])
            netlink.transact([links.link_up(end), links.default_route(HOST)])

    def keep(self, namespace: int) -> int:
        """Closes a namespace at the end of the test."""
        self._namespaces.append(namespace)
        return namespace

    def container(self, networks: Networks) -> int:
        return self.keep(networks.new_namespace())

    def serve(
        self, namespace: int, port: int, kind: str = "tcp", address: str = "0.0.0.0", says: str = ""
    ) -> list[str]:
        """Answers each client with `says` and the address that it seems to have, until the end of the test.

        Gives the list of these addresses, which grows.
        """
        heard: list[str] = []
        with netns.Inside(namespace):
            server = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        server.bind((address, port))
        if kind == "tcp":
            server.listen()
        thread = threading.Thread(target=self._answer, args=(server, kind, says, heard))
        thread.start()
        self._threads.append(thread)
        self._sockets.append(server)
        return heard

    def _answer(self, server: socket.socket, kind: str, says: str, heard: list[str]) -> None:
        while True:
            ready, _, _ = select.select([server, self._stop], [], [])
            if self._stop in ready:
                return
            if kind == "tcp":
                client, (address, _) = server.accept()
                heard.append(address)
                with client:
                    client.sendall((says + address).encode())
            else:
                _, peer = server.recvfrom(100)
                heard.append(peer[0])
                server.sendto((says + peer[0]).encode(), peer)

    def is_silent(self, namespace: int, address: str, port: int, kind: str = "tcp") -> bool:
        """Whether a client gets no answer, not even a refusal."""
        return self.ask(namespace, address, port, kind, patience=SILENCE) == "TimeoutError"

    def ask(self, namespace: int, address: str, port: int, kind: str = "tcp", *, patience: float = PATIENCE) -> str:
        """What the server says to a client in `namespace`, or the name of the error that it gets."""
        with netns.Inside(namespace):
            client = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        with client:
            client.settimeout(patience)
            try:
                client.connect((address, port))
                if kind == "udp":
                    client.send(b"hello")
                return client.recv(100).decode()
            except OSError as error:
                return type(error).__name__

    def run(self, namespace: int, *command: str) -> str:
        """Runs a program in `namespace`; it must succeed."""
        with netns.Inside(namespace):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def table(self) -> str:
        """The table of the only installation."""
        return self.run(self.host, "nft", "list", "tables").split()[-1]

    def close(self) -> None:
        os.close(self._stopped)
        for thread in self._threads:
            thread.join()
        for server in self._sockets:
            server.close()
        namespaces.join(self._outside, namespaces.CLONE_NEWNET)
        for descriptor in (*self._namespaces, self.host, self._outside, self._stop):
            os.close(descriptor)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def networks(world: World, tmp_path) -> Iterator[Networks]:
    """An installation in that world; what it made ends with the world."""
    made = Networks(root=str(tmp_path / "root"), run=str(tmp_path / "run"))
    yield made
    made.close()
