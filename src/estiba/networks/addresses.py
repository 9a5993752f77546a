"""IPv4 addresses and subnets as numbers. (The standard library's `ipaddress` costs a start more than all this room.)"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.values import NamedTuple


def address_number(text: str) -> int:
    """The number of ``10.87.0.1``; four decimal parts, none with a leading zero.

    Raises:
        InvalidInput: not an IPv4 address.
    """
    parts = text.split(".")
    if len(parts) != 4 or not all(_is_byte(part) for part in parts):
        raise InvalidInput(f"{text!r} is not an IPv4 address", remedy="Write four numbers of 0-255, like 192.0.2.7.")
    return int.from_bytes(bytes(int(part) for part in parts), "big")


def address_text(number: int) -> str:
    """``10.87.0.1`` of its number."""
    return ".".join(str(byte) for byte in number.to_bytes(4, "big"))


def address_bytes(text: str) -> bytes:
    """The four bytes of an address, in network order."""
    return address_number(text).to_bytes(4, "big")


def _is_byte(part: str) -> bool:
    return part.isascii() and part.isdigit() and int(part) < 256 and (part == "0" or part[0] != "0")


class Subnet(NamedTuple):
    """``10.87.0.0/24``: its first address as a number, and the length of its prefix."""

    base: int
    prefix: int

    @staticmethod
    def parse(text: str) -> Subnet:
        """Parse ``ADDRESS/PREFIX``; the address must be the subnet's first one.

        Raises:
            InvalidInput: not that, or too small for a gateway and a container (/30 is the smallest).
        """
        address, slash, length = text.partition("/")
        if ":" in address:
            raise InvalidInput(f"{text!r} is an IPv6 subnet; networks are IPv4 only for now")
        base = address_number(address)
        if not slash or not (length.isascii() and length.isdigit()):
            raise InvalidInput(f"{text!r} has no prefix length", remedy="Write a subnet like 10.87.4.0/24.")
        prefix = int(length)
        if not 8 <= prefix <= 30:
            raise InvalidInput(f"the prefix of {text!r} is {prefix}, not in 8-30", remedy="A usual subnet is a /24.")
        subnet = Subnet.around(base, prefix)
        if subnet.base != base:
            raise InvalidInput(f"{text!r} has bits beyond its prefix", remedy=f"The subnet is {subnet}.")
        return subnet

    @staticmethod
    def around(address: int, prefix: int) -> Subnet:
        """The subnet of that prefix which holds `address`."""
        return Subnet(address & (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF, prefix)

    @property
    def size(self) -> int:
        return 1 << (32 - self.prefix)

    @property
    def gateway(self) -> str:
        """The first usable address, the bridge's own."""
        return address_text(self.base + 1)

    def overlaps(self, other: Subnet) -> bool:
        return self.base < other.base + other.size and other.base < self.base + self.size

    def __str__(self) -> str:
        return f"{address_text(self.base)}/{self.prefix}"
