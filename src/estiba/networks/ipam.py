"""Which subnet a network gets, and which address a container: decisions over values, nothing is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from estiba.errors import Unavailable
from estiba.networks.addresses import Subnet, address_text

# Beside podman's 10.88.0.0/16 and what it hands out above that, and far from Docker's 172.16.0.0/12.
POOL = Subnet.parse("10.87.0.0/16")
SUBNET_PREFIX = 24


class NoSubnetLeft(Unavailable):
    def __init__(self) -> None:
        super().__init__(
            f"every /{SUBNET_PREFIX} of {POOL} is in use by a network or a route of this host",
            remedy="Give the network a subnet of its own: estiba network create --subnet 10.200.0.0/24 NAME",
        )


class NoAddressLeft(Unavailable):
    def __init__(self, subnet: Subnet) -> None:
        super().__init__(
            f"no address is left in {subnet}: all {subnet.size - 3} are in use by containers",
            remedy="Remove containers, or create a network with a larger --subnet.",
        )


def choose_subnet(taken: Iterable[Subnet]) -> Subnet:
    """The first subnet of the pool that overlaps none of `taken` (other networks, routes of the host).

    Raises:
        NoSubnetLeft: there is none.
    """
    others = [subnet for subnet in taken if subnet.overlaps(POOL)]
    step = 1 << (32 - SUBNET_PREFIX)
    for base in range(POOL.base, POOL.base + POOL.size, step):
        candidate = Subnet(base, SUBNET_PREFIX)
        if not any(candidate.overlaps(other) for other in others):
            return candidate
    raise NoSubnetLeft


def choose_address(subnet: Subnet, taken: Collection[int], *, last: int) -> int:
    """The first free address after `last`, from the start again at the end.

    An address rests as long as possible before it is used again, so that neighbours which remember its MAC, and
    connections that are still tracked, do not reach a stranger. The network's, the gateway's (first) and the broadcast
    address (last) are never given.

    Raises:
        NoAddressLeft: there is none.
    """
    first, count = subnet.base + 2, subnet.size - 3
    start = last + 1 - first if first <= last < first + count else 0
    for step in range(count):
        candidate = first + (start + step) % count
        if candidate not in taken:
            return candidate
    raise NoAddressLeft(subnet)


def mac_of(address: int) -> str:
    """A MAC that follows from the address: locally administered, unicast (IEEE 802, second bit of the first byte)."""
    return "02:e5:" + ":".join(f"{byte:02x}" for byte in address.to_bytes(4, "big"))


def text_of(address: int) -> str:
    return address_text(address)
