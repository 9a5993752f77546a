"""The rules as text and as elements, and what the host's own rules forbid."""

from __future__ import annotations

from estiba.linux.nftables import BaseChain, Element
from estiba.networks.firewall import Bridge, Published, element, table_script
from estiba.networks.host_firewall import forward_denials, passed_by
from estiba.networks.ports import PortMapping

WEB = Published(PortMapping(80, 8080), "10.87.0.2")
DNS = Published(PortMapping(53, 5353, "0.0.0.0", "udp"), "10.87.0.3")
OURS = BaseChain("ip", "estiba", "forward", "forward", 0, False)
INPUT = BaseChain("inet", "filter", "input", "input", 0, True)


def test_the_table_is_replaced_in_one_transaction() -> None:
    script = table_script(
        "estiba", [Bridge("estiba0", "10.87.0.0/24", False), Bridge("est-x", "10.87.1.0/24", True)], [WEB, DNS]
    )
    assert script.startswith("add table ip estiba\ndelete table ip estiba\ntable ip estiba {\n")
    assert 'set bridges { type ifname; elements = { "estiba0", "est-x" } }' in script
    assert 'set internal { type ifname; elements = { "est-x" } }' in script
    assert 'elements = { "estiba0" . 10.87.0.0/24, "est-x" . 10.87.1.0/24 } }' in script
    assert "elements = { udp . 5353 : 10.87.0.3 . 53 } }" in script
    assert "elements = { 127.0.0.1 . tcp . 8080 : 10.87.0.2 . 80 } }" in script


def test_no_chain_has_a_policy_that_could_deny_what_is_not_ours() -> None:
    script = table_script("estiba", [])
    assert script.count("policy accept") == script.count("hook ") == 5


def test_a_port_is_one_element_whose_fields_are_padded_to_four_bytes() -> None:
    assert element(WEB) == Element("published_at", b"\x7f\0\0\x01\x06\0\0\0\x1f\x90\0\0", b"\x0a\x57\0\x02\0\x50\0\0")
    assert element(DNS) == Element("published_any", b"\x11\0\0\0\x14\xe9\0\0", b"\x0a\x57\0\x03\0\x35\0\0")


def test_a_host_that_denies_only_what_is_for_itself_would_be_passed_by() -> None:
    assert passed_by([OURS, INPUT], own_table="estiba") == INPUT


def test_a_host_with_a_forward_chain_of_its_own_decides_there() -> None:
    forward = BaseChain("inet", "filter", "forward", "forward", 0, False)
    assert passed_by([OURS, INPUT, forward], own_table="estiba") is None


def test_a_host_that_denies_nothing_is_not_passed_by() -> None:
    assert passed_by([OURS, INPUT._replace(drops=False)], own_table="estiba") is None
    assert passed_by([OURS, INPUT._replace(family="ip6")], own_table="estiba") is None


def test_dockers_forward_chain_denies_what_it_does_not_know() -> None:
    docker = BaseChain("ip", "filter", "FORWARD", "forward", 0, True)
    assert forward_denials([OURS, INPUT, docker, docker._replace(family="ip6")]) == (docker,)
