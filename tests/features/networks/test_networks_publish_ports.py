"""A published port leads into the container, for whom it was published to and for nobody else."""

from __future__ import annotations

import os
import socket

import pytest

from estiba.errors import Conflict, InvalidInput
from estiba.linux import netns, sysctl
from estiba.networks.host_firewall import PassesFirewallBy
from estiba.networks.ports import PortMapping, parse_port
from estiba.networks.reservations import PortTaken

pytestmark = pytest.mark.root

SILENCE = 0.3  # seconds

HOST, PEER = "198.51.100.1", "198.51.100.2"


def publish(world, networks, *texts: str, key: str = "web") -> int:
    """A container that answers on TCP port 80 and UDP port 53."""
    box = world.container(networks)
    networks.attach(box, key=key, ports=[port for text in texts for port in parse_port(text)])
    world.serve(box, 80, says=f"{key} ")
    world.serve(box, 53, "udp", says=f"{key} ")
    return box


def test_a_port_is_published_on_loopback_unless_asked(world, networks) -> None:
    publish(world, networks, "8080:80", "5353:53/udp")
    assert world.ask(world.host, "127.0.0.1", 8080) == "web 10.87.0.1"
    assert world.ask(world.host, "127.0.0.1", 5353, "udp") == "web 10.87.0.1"
    assert world.ask(world.host, HOST, 8080) == "ConnectionRefusedError"
    assert world.ask(world.peer, HOST, 8080) == "ConnectionRefusedError"
    assert world.ask(world.peer, HOST, 5353, "udp") == "ConnectionRefusedError"


@pytest.mark.parametrize("bridged", ["0", "1"], ids=["bridged packets pass unseen", "bridged packets pass the rules"])
def test_a_port_on_every_address_is_reached_from_everywhere(world, networks, bridged: str) -> None:
    """Docker and Kubernetes load br_netfilter, which shows the rules what passes inside a bridge."""
    try:
        sysctl.write("net/bridge/bridge-nf-call-iptables", bridged)
    except FileNotFoundError:
        pass  # br_netfilter is not loaded: bridged packets pass unseen
    box = publish(world, networks, "0.0.0.0:8080:80", "0.0.0.0:5353:53/udp")
    other = world.container(networks)
    networks.attach(other, key="other")
    networks.create("far")
    far = world.container(networks)
    networks.attach(far, key="far", network="far")
    for kind, port in (("tcp", 8080), ("udp", 5353)):
        assert world.ask(world.host, "127.0.0.1", port, kind) == "web 10.87.0.1"
        assert world.ask(world.host, HOST, port, kind) == f"web {HOST}"
        assert world.ask(world.peer, HOST, port, kind) == f"web {PEER}", "a client keeps its address"
        assert world.ask(other, HOST, port, kind) == "web 10.87.0.1"
        assert world.ask(other, "10.87.0.1", port, kind) == "web 10.87.0.1"
        assert world.ask(far, HOST, port, kind) == "web 10.87.1.2"
        assert world.ask(box, HOST, port, kind) == "web 10.87.0.1", "a container may ask for itself"


def test_a_port_on_one_address_of_the_host_is_for_that_address(world, networks) -> None:
    publish(world, networks, f"{HOST}:8080:80")
    assert world.ask(world.peer, HOST, 8080) == f"web {PEER}"
    assert world.ask(world.host, "127.0.0.1", 8080) == "ConnectionRefusedError"


def test_port_0_of_the_host_becomes_a_free_one(world, networks) -> None:
    box = world.container(networks)
    endpoint = networks.attach(box, key="web", ports=parse_port("80"))
    world.serve(box, 80, says="web ")
    assert endpoint.ports == (PortMapping(80, endpoint.ports[0].host_port),)
    assert world.ask(world.host, "127.0.0.1", endpoint.ports[0].host_port) == "web 10.87.0.1"
    assert networks.endpoints("bridge") == {"web": endpoint}


def test_a_port_is_free_again_after_its_container(world, networks) -> None:
    publish(world, networks, "0.0.0.0:8080:80")
    networks.detach("web")
    assert world.ask(world.host, "127.0.0.1", 8080) == "ConnectionRefusedError"
    publish(world, networks, "0.0.0.0:8080:80", key="next")
    assert world.ask(world.peer, HOST, 8080) == f"next {PEER}"


def test_a_taken_port_is_refused_with_the_name_of_its_holder(world, networks) -> None:
    publish(world, networks, "8080:80")
    with socket.socket() as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        server.bind(("0.0.0.0", 8081))
        server.listen()
        datagrams.bind(("127.0.0.1", 8081))
        box = world.container(networks)
        own = f"port 8081/{{}} of 127.0.0.1 is in use by .* \\(process {os.getpid()}\\)"
        with pytest.raises(PortTaken, match=own.format("tcp")):
            networks.attach(box, key="box", ports=parse_port("8081:80"))
        with pytest.raises(PortTaken, match=own.format("udp")):
            networks.attach(box, key="box", ports=parse_port("8081:80/udp"))
        with pytest.raises(PortTaken, match=r"port 8080/tcp of 0\.0\.0\.0 is in use by the container web"):
            networks.attach(box, key="box", ports=parse_port("0.0.0.0:8080:80"))
    assert networks.attach(box, key="box", ports=parse_port("8081:80")).address == "10.87.0.3", "nothing was left"


def test_a_program_started_later_is_told_that_the_port_is_in_use(world, networks) -> None:
    publish(world, networks, "8080:80", "5353:53/udp")
    for kind, port in ((socket.SOCK_STREAM, 8080), (socket.SOCK_DGRAM, 5353)):
        with socket.socket(type=kind) as late, pytest.raises(OSError, match="Address already in use"):
            late.bind(("127.0.0.1", port))


def test_an_address_that_the_host_does_not_have_is_refused(world, networks) -> None:
    with pytest.raises(InvalidInput, match=r"does not have the address 203\.0\.113\.9"):
        networks.attach(world.container(networks), key="web", ports=parse_port("203.0.113.9:80:80"))


def test_a_client_that_keeps_sending_from_one_port_reaches_the_new_container(world, networks) -> None:
    """Docker's clients of UDP ports were led to the container of old until they fell silent for half a minute."""
    with netns.Inside(world.peer):
        client = socket.socket(type=socket.SOCK_DGRAM)
    with client:
        client.settimeout(5)
        client.connect((HOST, 5353))
        for key in ("first", "second"):
            client.send(b"is nobody here?")
            with pytest.raises(ConnectionRefusedError):
                client.recv(100)
            publish(world, networks, "0.0.0.0:5353:53/udp", key=key)
            client.send(b"hello")
            assert client.recv(100) == f"{key} {PEER}".encode()
            networks.detach(key)


def test_a_peer_does_not_reach_what_is_not_published_by_routing_to_it(world, networks) -> None:
    publish(world, networks, "8080:80")
    assert world.ask(world.host, "10.87.0.2", 80) == "web 10.87.0.1"
    assert world.is_silent(world.peer, "10.87.0.2", 80)


def test_a_rule_of_the_host_that_denies_stays_a_denial(world, networks) -> None:
    publish(world, networks, "0.0.0.0:8080:80")
    world.run(world.host, "nft", "add table inet fw; add chain inet fw f { type filter hook forward priority 10; }")
    world.run(world.host, "nft", "add rule inet fw f ip saddr 198.51.100.0/24 drop")
    assert world.is_silent(world.peer, HOST, 8080)


def test_a_host_that_is_closed_by_its_input_chain_alone_is_not_opened(world, networks) -> None:
    world.run(
        world.host, "nft", "add table inet fw; add chain inet fw i { type filter hook input priority 0; policy drop; }"
    )
    box = world.container(networks)
    with pytest.raises(PassesFirewallBy, match="chain i of the table inet fw"):
        networks.attach(box, key="web", ports=parse_port("0.0.0.0:8080:80"))
    networks.attach(box, key="web", ports=parse_port("8080:80"))


def test_a_container_does_not_reach_the_hosts_loopback(world, networks) -> None:
    """CVE-2020-8558: a container that may use raw sockets sends to 127.0.0.1 of the host through the bridge."""
    box = publish(world, networks, "8080:80")
    heard = world.serve(world.host, 9000, "udp", address="127.0.0.1")
    world.run(box, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
    world.run(box, "ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local")
    world.run(box, "ip", "route", "add", "127.0.0.0/8", "via", "10.87.0.1")
    world.run(box, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
    assert world.is_silent(box, "127.0.0.1", 9000, "udp")
    assert heard == []
    world.run(world.host, "nft", "flush", "chain", "ip", world.table(), "guard")
    world.ask(box, "127.0.0.1", 9000, "udp", patience=SILENCE)
    assert heard == ["10.87.0.2"], "without the guard the attack works, so this test tests it"


def test_ports_of_an_internal_network_cannot_be_published(world, networks) -> None:
    networks.create("inner", internal=True)
    with pytest.raises(InvalidInput, match="is internal"):
        networks.attach(world.container(networks), key="box", network="inner", ports=parse_port("80:80"))


def test_a_container_is_in_a_network_once(world, networks) -> None:
    box = world.container(networks)
    networks.attach(box, key="box")
    with pytest.raises(Conflict, match="box is in the network 'bridge' already"):
        networks.attach(box, key="box")
