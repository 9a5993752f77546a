"""A container reaches what the host reaches, under the host's address, and the host stays what it was."""

from __future__ import annotations

import pytest

from estiba.linux import sysctl

pytestmark = pytest.mark.root


def test_a_container_is_seen_outside_under_the_hosts_address(world, networks) -> None:
    box = world.container(networks)
    networks.attach(box, key="box")
    world.serve(world.peer, 7)
    world.serve(world.peer, 7, "udp")
    assert world.ask(box, "198.51.100.2", 7) == "198.51.100.1"
    assert world.ask(box, "198.51.100.2", 7, "udp") == "198.51.100.1"


def test_containers_of_one_network_reach_each_other_under_their_own_addresses(world, networks) -> None:
    first, second = world.container(networks), world.container(networks)
    server = networks.attach(first, key="first")
    client = networks.attach(second, key="second")
    world.serve(first, 80)
    assert world.ask(second, server.address, 80) == client.address


def test_only_the_interfaces_that_containers_need_pass_packets_on(world, networks) -> None:
    """Docker and podman make every interface of the host a router's."""
    world.run(world.host, "ip", "link", "add", "other0", "type", "veth", "peer", "other1")
    networks.attach(world.container(networks), key="box")
    assert sysctl.read("net/ipv4/ip_forward") == "0"
    assert sysctl.read("net/ipv4/conf/wire0/forwarding") == "1"
    assert sysctl.read("net/ipv4/conf/other0/forwarding") == "0"


def test_packets_are_no_larger_than_the_hosts_own(world, networks) -> None:
    box = world.container(networks)
    networks.attach(box, key="box")
    assert "mtu 1400" in world.run(box, "ip", "link", "show", "eth0")


def test_a_container_has_loopback_and_no_ipv6_address_on_its_link(world, networks) -> None:
    box = world.container(networks)
    endpoint = networks.attach(box, key="box", mac="02:11:22:33:44:55")
    loopback, link = world.run(box, "ip", "-br", "address").splitlines()
    assert loopback.split() == ["lo", "UNKNOWN", "127.0.0.1/8", "::1/128"]
    assert link.split()[2:] == [f"{endpoint.address}/24"]
    shown = world.run(box, "ip", "link", "show", "eth0")
    assert "02:11:22:33:44:55" in shown
    assert ",UP" in shown
    assert world.run(box, "ip", "route").splitlines()[0].startswith(f"default via {endpoint.gateway} dev eth0")


def test_a_container_in_two_networks_has_two_links_and_one_way_out(world, networks) -> None:
    networks.create("blue")
    networks.create("inner", internal=True)
    box = world.container(networks)
    inner = networks.attach(box, key="box", network="inner")
    outer = networks.attach(box, key="box")
    blue = networks.attach(box, key="box", network="blue")
    assert [inner.interface, outer.interface, blue.interface] == ["eth0", "eth1", "eth2"]
    assert (inner.gateway, outer.gateway) == ("", "10.87.2.1")
    routes = world.run(box, "ip", "route").splitlines()
    assert [route for route in routes if route.startswith("default")] == [f"default via {outer.gateway} dev eth1 "]
