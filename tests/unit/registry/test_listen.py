"""Addresses to listen on."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput
from estiba.web.listen import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("5000", Address("127.0.0.1", 5000)),
        (":5000", Address("127.0.0.1", 5000)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("[::1]:0", Address("::1", 0)),
        ("host.example:443", Address("host.example", 443)),
    ],
)
def test_an_address_is_read(text, address):
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:70000", "::1:5000", "a b:1", "http://x:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidInput):
        Address.parse(text)


def test_an_ipv6_address_is_written_in_brackets():
    assert str(Address("::1", 5000)) == "[::1]:5000"
