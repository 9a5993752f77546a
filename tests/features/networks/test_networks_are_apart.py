"""Networks do not reach each other, an internal one nothing outside, and nobody speaks under another's address."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput, NotFound
from estiba.networks.bridges import SubnetTaken
from estiba.networks.networks import NetworkInUse, Networks

pytestmark = pytest.mark.root

PEER = "198.51.100.2"
SILENCE = 0.3  # seconds


def test_two_networks_do_not_reach_each_other(world, networks) -> None:
    networks.create("blue")
    first, second = world.container(networks), world.container(networks)
    server = networks.attach(first, key="first")
    networks.attach(second, key="second", network="blue")
    world.serve(first, 80)
    assert world.is_silent(second, server.address, 80)


def test_an_internal_network_reaches_itself_and_the_host_but_nothing_else(world, networks) -> None:
    networks.create("inner", internal=True)
    first, second = world.container(networks), world.container(networks)
    server = networks.attach(first, key="first", network="inner")
    client = networks.attach(second, key="second", network="inner")
    world.serve(first, 80)
    world.serve(world.peer, 7)
    assert world.ask(second, server.address, 80) == client.address
    assert world.ask(world.host, server.address, 80) == "10.87.0.1"
    assert world.ask(second, PEER, 7) == "OSError", "there is no route"
    world.run(second, "ip", "route", "add", "default", "via", "10.87.0.1")
    assert world.is_silent(second, PEER, 7), "nor is there a way for who makes one"


def test_a_container_that_lies_about_its_address_is_not_heard(world, networks) -> None:
    box = world.container(networks)
    networks.attach(box, key="box")
    heard = world.serve(world.peer, 7, "udp")
    world.run(box, "ip", "address", "add", "203.0.113.5/32", "dev", "eth0")
    world.run(box, "ip", "route", "change", "default", "via", "10.87.0.1", "src", "203.0.113.5")
    assert world.is_silent(box, PEER, 7, "udp")
    assert heard == []
    world.run(world.host, "nft", "flush", "chain", "ip", world.table(), "guard")
    world.ask(box, PEER, 7, "udp", patience=SILENCE)
    assert heard == ["203.0.113.5"], "without the guard the lie is heard, so this test tests it"


def test_two_installations_share_a_host(world, networks, tmp_path) -> None:
    other = Networks(root=str(tmp_path / "root2"), run=str(tmp_path / "run2"))
    world.serve(world.peer, 7)
    first, second = world.container(networks), world.container(other)
    mine, theirs = networks.attach(first, key="box"), other.attach(second, key="box")
    assert (mine.address, theirs.address) == ("10.87.0.2", "10.87.1.2")
    networks.detach("box")
    networks.teardown()
    assert world.ask(second, PEER, 7) == "198.51.100.1"


def test_a_subnet_is_not_given_twice(world, networks) -> None:
    world.run(world.host, "ip", "route", "add", "10.87.0.0/24", "via", PEER)
    assert networks.create("blue").subnet == "10.87.1.0/24"
    assert networks.create("green", subnet="10.200.0.0/16").gateway == "10.200.0.1"
    assert networks.attach(world.container(networks), key="box").address == "10.87.2.2"
    with pytest.raises(SubnetTaken, match=r"10\.200\.0\.0/16, the network 'green'"):
        networks.create("red", subnet="10.200.4.0/24")
    with pytest.raises(SubnetTaken, match=r"198\.51\.100\.0/24, the route over wire0"):
        networks.create("red", subnet="198.51.100.0/30")
    with pytest.raises(SubnetTaken, match="the network 'bridge'"):
        networks.create("red", subnet="10.87.2.0/24")


def test_a_network_in_use_is_not_removed_and_one_without_containers_is(world, networks) -> None:
    networks.create("blue", labels={"team": "a"})
    networks.attach(world.container(networks), key="box", network="blue")
    device = networks.inspect("blue").device
    assert networks.unused() == ()
    with pytest.raises(NetworkInUse, match="'blue' is in use by box"):
        networks.remove("blue")
    networks.detach("box")
    assert [record.name for record in networks.unused()] == ["blue"]
    networks.remove("blue")
    assert device not in world.run(world.host, "ip", "-br", "link")
    assert [record.name for record in networks.list()] == ["bridge", "host", "none"]
    with pytest.raises(NotFound):
        networks.attach(world.container(networks), key="box", network="blue")
    with pytest.raises(InvalidInput):
        networks.remove("bridge")


def test_a_subnet_that_was_chosen_and_then_taken_by_others_is_chosen_anew(world, networks) -> None:
    before = networks.create("green").subnet
    world.run(world.host, "ip", "route", "add", before, "via", PEER)
    endpoint = networks.attach(world.container(networks), key="box", network="green")
    after = networks.inspect("green").subnet
    assert after != before and endpoint.address.rpartition(".")[0] == after.rpartition(".")[0]
    fixed = networks.create("fixed", subnet="10.200.0.0/16").subnet
    world.run(world.host, "ip", "route", "add", fixed, "via", PEER)
    with pytest.raises(SubnetTaken):
        networks.attach(world.container(networks), key="other", network="fixed")
