"""IPv4 addresses and subnets as numbers."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.errors import InvalidInput
from estiba.networks.addresses import Subnet, address_number, address_text

numbers = st.integers(0, 2**32 - 1)


@given(numbers)
def test_an_address_survives_being_written_and_read(number: int) -> None:
    assert address_text(number) == str(ipaddress.IPv4Address(number))
    assert address_number(address_text(number)) == number


@given(numbers, st.integers(8, 30), numbers, st.integers(8, 30))
def test_subnets_overlap_where_the_standard_library_says_so(a: int, p: int, b: int, q: int) -> None:
    first, second = Subnet.around(a, p), Subnet.around(b, q)
    reference = ipaddress.ip_network(str(first)).overlaps(ipaddress.ip_network(str(second)))
    assert first.overlaps(second) is second.overlaps(first) is reference
    assert Subnet.parse(str(first)) == first


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.٤", "1.2.3.4 "])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        address_number(text)


@pytest.mark.parametrize("text", ["10.1.0.0", "10.1.0.0/31", "10.1.0.0/7", "10.1.0.1/24", "fd00::/64", "10.1.0.0/x"])
def test_what_is_no_usable_subnet_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Subnet.parse(text)
