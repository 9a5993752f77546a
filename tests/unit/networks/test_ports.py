"""Docker's way of writing published ports."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.ports import PortMapping, collide, parse_port, parse_ports


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [PortMapping(80)]),
        ("8080:80", [PortMapping(80, 8080)]),
        (":80", [PortMapping(80)]),
        ("127.0.0.1::80", [PortMapping(80, 0, "127.0.0.1")]),
        ("0.0.0.0:8080:80", [PortMapping(80, 8080, "0.0.0.0")]),
        ("0.0.0.0:5353:53/udp", [PortMapping(53, 5353, "0.0.0.0", "udp")]),
        ("53:53/UDP", [PortMapping(53, 53, "127.0.0.1", "udp")]),
        ("8000-8001:80-81", [PortMapping(80, 8000), PortMapping(81, 8001)]),
        ("90-91", [PortMapping(90), PortMapping(91)]),
        ("192.0.2.7:1-2:3-4", [PortMapping(3, 1, "192.0.2.7"), PortMapping(4, 2, "192.0.2.7")]),
    ],
)
def test_a_port_is_read_as_docker_reads_it_but_bound_to_loopback(text: str, expected: list[PortMapping]) -> None:
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:80",
        "80:",
        "8080:80/",
        "8080:80/icmp",
        "0:80",
        "65536:80",
        "80:0",
        "1-3:1-2",
        "9-8",
        "٣:80",
        "x:1:1",
        "1:-1",
    ],
)
def test_what_is_no_port_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_port(text)


@pytest.mark.parametrize("text", ["80/sctp", "[::1]:80:80", "::1:80:80"])
def test_what_is_not_there_yet_is_named(text: str) -> None:
    with pytest.raises(NotThereYet):
        parse_port(text)


def test_a_bad_host_address_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"'10\.0\.0\.256' is not an IPv4 address"):
        parse_port("10.0.0.256:80:80")


def test_every_address_collides_with_any_address() -> None:
    anywhere, loopback = PortMapping(80, 8080, "0.0.0.0"), PortMapping(81, 8080)
    assert collide(anywhere, loopback)
    assert not collide(anywhere, loopback._replace(protocol="udp"))
    assert not collide(PortMapping(80, 8080, "192.0.2.1"), loopback)
    assert not collide(PortMapping(80), PortMapping(81))


def test_two_texts_cannot_claim_one_port() -> None:
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1:8080->80/tcp and 0\.0\.0\.0:8080->81/tcp"):
        parse_ports(["8080:80", "0.0.0.0:8080:81"])
