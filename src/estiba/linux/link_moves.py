"""A network device moved to another network namespace, with its addresses (rtnetlink(7), network_namespaces(7)).

The kernel keeps the device's MTU and hardware address, and forgets its addresses and that it was up.
"""

from __future__ import annotations

import errno
import os
import struct

from estiba.linux.links import Link, index_of, links
from estiba.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    NETLINK_ROUTE,
    Message,
    NetlinkSocket,
    attribute,
    attributes,
    number,
    text,
)
from estiba.linux.netns import Inside
from estiba.values import NamedTuple

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 20, 22
_IFLA_IFNAME, _IFLA_NET_NS_FD = 3, 28
_KEPT = (1, 2, 4)  # IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST
_IFA_FLAGS = 8
_PERMANENT, _NO_DUPLICATE_CHECK = 0x80, 0x02
_SCOPE_UNIVERSE = 0
_UP = 0x1
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")


class Address(NamedTuple):
    """A permanent address with global scope: its family, prefix length, and attributes by kind."""

    family: int
    prefix: int
    values: tuple[tuple[int, bytes], ...]


class Moved(NamedTuple):
    """A move that has been made: the device's name before, its number in the other namespace, and its addresses."""

    name: str
    number: int
    addresses: tuple[Address, ...]


def move(name: str, new_name: str, namespace: int) -> Moved:
    """Move the device `name` to the namespace behind a descriptor, as `new_name`, and set it up there.

    A `new_name` that ends with ``%d`` gets the first number that is free there.

    Raises:
        OSError: ENODEV or EEXIST for the names, or the kernel refused; the device is where it was.
    """
    index = index_of(name)
    if index is None:
        raise OSError(errno.ENODEV, f"there is no network device {name!r}")
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        addresses = _permanent_addresses(netlink, index)
        with Inside(namespace):
            before = _links()
        if any(link.name == new_name for link in before):
            raise OSError(errno.EEXIST, f"the container has a network device {new_name!r} already")
        netlink.transact([_moving(index, new_name, namespace, f"move the network device {name} to the container")])
    with Inside(namespace):
        known = {link.number for link in before}
        [found] = [link.number for link in _links() if link.number not in known]
    moved = Moved(name, found, addresses)
    try:
        with Inside(namespace), NetlinkSocket(NETLINK_ROUTE) as netlink:
            netlink.transact(_restoring(found, addresses))
    except OSError:
        move_back(moved, namespace)
        raise
    return moved


def move_back(moved: Moved, namespace: int) -> None:
    """Undo a move: the device comes back to this thread's namespace, with its name and addresses, and up.

    Raises:
        OSError: the kernel refused; the name may have been taken meanwhile.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with Inside(namespace), NetlinkSocket(NETLINK_ROUTE) as netlink:
            netlink.transact([_moving(moved.number, moved.name, own, f"move the network device {moved.name} back")])
    finally:
        os.close(own)
    index = index_of(moved.name)
    if index is not None:
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            netlink.transact(_restoring(index, moved.addresses))


def _links() -> list[Link]:
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        return links(netlink)


def _permanent_addresses(netlink: NetlinkSocket, index: int) -> tuple[Address, ...]:
    found: list[Address] = []
    body = _ADDRESS.pack(0, 0, 0, 0, 0)  # of both families
    for reply in netlink.dump(Message(_RTM_GETADDR, 0, body, "list the addresses")):
        family, prefix, flags, scope, owner = _ADDRESS.unpack_from(reply.body)
        values = attributes(reply.body[_ADDRESS.size :])
        if _IFA_FLAGS in values:
            (flags,) = struct.unpack("=I", values[_IFA_FLAGS])
        if owner == index and scope == _SCOPE_UNIVERSE and flags & _PERMANENT:
            kept = tuple((kind, values[kind]) for kind in _KEPT if kind in values)
            found.append(Address(family, prefix, kept))
    return tuple(found)


def _moving(index: int, name: str, namespace: int, what: str) -> Message:
    """It is set down by the same message: a device that is up cannot be renamed."""
    body = _LINK.pack(0, 0, index, 0, _UP) + number(_IFLA_NET_NS_FD, namespace) + text(_IFLA_IFNAME, name)
    return Message(_RTM_NEWLINK, 0, body, what)


def _restoring(index: int, addresses: tuple[Address, ...]) -> list[Message]:
    messages = [Message(_RTM_NEWLINK, 0, _LINK.pack(0, 0, index, _UP, _UP), f"set the link number {index} up")]
    for address in addresses:
        body = _ADDRESS.pack(address.family, address.prefix, _PERMANENT | _NO_DUPLICATE_CHECK, 0, index)
        body += b"".join(attribute(kind, value) for kind, value in address.values)
        messages.append(Message(_RTM_NEWADDR, CREATE | EXCLUSIVE, body, f"keep an address of the link number {index}"))
    return messages
