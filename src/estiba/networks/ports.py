"""Published ports: Docker's way of writing them, parsed once."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.addresses import address_number, address_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = "0.0.0.0"

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}


class PortMapping(NamedTuple):
    """A port of the host that leads to one of the container; `host_port` 0 asks for any free one.

    Where Docker publishes to everybody unless told otherwise, `host_address` is the loopback address unless given.
    """

    container_port: int
    host_port: int = 0
    host_address: str = LOOPBACK
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.host_address}:{self.host_port}->{self.container_port}/{self.protocol}"


class BadPort(InvalidInput):
    def __init__(self, text: str, fact: str) -> None:
        super().__init__(
            f"{text!r} does not say which port to publish: {fact}",
            remedy="Write [ADDRESS:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL], like 8080:80 or 0.0.0.0:5353:53/udp.",
        )


def parse_port(text: str) -> list[PortMapping]:
    """The mappings that ``[ADDRESS:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL]`` means; ports may be ranges like 8000-8003.

    Raises:
        InvalidInput: it does not follow that form, or ranges differ in length.
        NotThereYet: IPv6 addresses and SCTP.
    """
    ports, slash, protocol = text.partition("/")
    if slash and not protocol:
        raise BadPort(text, "nothing follows the '/'")
    protocol = protocol.lower() or "tcp"
    if protocol == "sctp":
        raise NotThereYet(f"publishing SCTP ports ({text}) is not there yet")
    if protocol not in PROTOCOL_NUMBERS:
        raise BadPort(text, f"the protocol {protocol!r} is not tcp or udp")
    if "[" in ports or ports.count(":") > 2:
        raise NotThereYet(f"publishing on an IPv6 address ({text}) is not there yet; networks are IPv4 only")
    *front, container = ports.split(":")
    container_ports = _range(text, container)
    host_address = _address(text, front[0]) if len(front) == 2 else LOOPBACK
    host_ports = _range(text, front[-1]) if front and front[-1] else [0] * len(container_ports)
    if len(host_ports) != len(container_ports):
        fact = f"{len(host_ports)} ports of the host cannot lead to {len(container_ports)} of the container"
        raise BadPort(text, fact)
    return [
        PortMapping(inner, outer, host_address, protocol)
        for outer, inner in zip(host_ports, container_ports, strict=True)
    ]


def parse_ports(texts: list[str]) -> list[PortMapping]:
    """The mappings of several such texts, in order.

    Raises:
        InvalidInput: one of them is wrong, or two claim the same port of the host.
    """
    mappings = [mapping for text in texts for mapping in parse_port(text)]
    for first, second in _pairs(mappings):
        if collide(first, second):
            raise InvalidInput(f"two published ports claim the same port of the host: {first} and {second}")
    return mappings


def collide(first: PortMapping, second: PortMapping) -> bool:
    """Whether both want the same fixed port on the same address; 0.0.0.0 is every address."""
    if first.host_port == 0 or first.host_port != second.host_port or first.protocol != second.protocol:
        return False
    addresses = {first.host_address, second.host_address}
    return len(addresses) == 1 or EVERY_ADDRESS in addresses


def _pairs(mappings: list[PortMapping]) -> Iterator[tuple[PortMapping, PortMapping]]:
    for index, first in enumerate(mappings):
        for second in mappings[index + 1 :]:
            yield first, second


def _address(text: str, address: str) -> str:
    if not address:
        return LOOPBACK
    if not address[0].isdigit():
        raise BadPort(text, f"{address!r} is not an address")
    return address_text(address_number(address))


def _range(text: str, ports: str) -> list[int]:
    first, dash, last = ports.partition("-")
    start = _port(text, first)
    end = _port(text, last) if dash else start
    if end < start:
        raise BadPort(text, f"the range {ports} ends before it begins")
    return list(range(start, end + 1))


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) < 10):
        raise BadPort(text, f"{port[:40]!r} is not a port number")
    if not 1 <= int(port) <= 65535:
        raise BadPort(text, f"{port} is not in 1-65535")
    return int(port)
