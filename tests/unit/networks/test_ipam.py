"""Which subnet a network gets, and which address a container."""

from __future__ import annotations

import pytest

from estiba.networks.addresses import Subnet, address_number, address_text
from estiba.networks.ipam import NoAddressLeft, NoSubnetLeft, choose_address, choose_subnet, mac_of

SMALL = Subnet.parse("192.0.2.0/29")  # gateway .1, containers .2 to .6, broadcast .7


def test_the_first_subnet_that_nobody_has_is_taken() -> None:
    taken = [Subnet.parse("10.87.0.0/24"), Subnet.parse("10.87.1.128/25"), Subnet.parse("192.168.0.0/16")]
    assert str(choose_subnet(taken)) == "10.87.2.0/24"


def test_a_route_that_covers_the_pool_leaves_nothing() -> None:
    with pytest.raises(NoSubnetLeft):
        choose_subnet([Subnet.parse("10.0.0.0/8")])


def test_addresses_are_given_in_turn_and_rest_before_they_are_given_again() -> None:
    last, given_out = 0, []
    for _ in range(7):
        last = choose_address(SMALL, (), last=last)
        given_out.append(address_text(last)[-1])
    assert given_out == ["2", "3", "4", "5", "6", "2", "3"]


def test_an_address_in_use_is_passed_over() -> None:
    taken = {address_number("192.0.2.2"), address_number("192.0.2.4")}
    assert address_text(choose_address(SMALL, taken, last=address_number("192.0.2.3"))) == "192.0.2.5"


def test_a_full_subnet_says_so() -> None:
    with pytest.raises(NoAddressLeft, match=r"no address is left in 192\.0\.2\.0/29: all 5 are in use"):
        choose_address(SMALL, range(SMALL.base, SMALL.base + 8), last=0)


def test_a_mac_follows_from_the_address() -> None:
    assert mac_of(address_number("10.87.0.2")) == "02:e5:0a:57:00:02"
