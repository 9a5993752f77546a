"""Links, addresses and routes of a network namespace, as rtnetlink messages (rtnetlink(7)).

The functions that build messages are pure; `NetlinkSocket(NETLINK_ROUTE)` carries them out. IPv4 only.
"""

from __future__ import annotations

import _socket
import struct

from estiba.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    Message,
    NetlinkSocket,
    attribute,
    attributes,
    nested,
    number,
    text,
)
from estiba.values import NamedTuple

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_MASTER = 10
_IFLA_LINKINFO = 18
_IFLA_IFALIAS = 20
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_INFO_SLAVE_KIND = 4
_IFLA_INFO_SLAVE_DATA = 5
_IFLA_BRPORT_MODE = 4
_VETH_INFO_PEER = 1

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_TABLE = 15

_UP = 0x1
_TABLE_LOCAL = 255
_TABLE_MAIN = 254
_PROTOCOL_BOOT = 3
_TYPE_UNICAST = 1

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")

LOOPBACK_INDEX = 1  # the first link of every namespace


class Link(NamedTuple):
    """A link: its number, name, largest packet in bytes, the number of its bridge (0: none), and a note (its alias)."""

    number: int
    name: str
    mtu: int
    master: int
    note: str = ""


class Route(NamedTuple):
    """A unicast route to `destination/prefix` (prefix 0: the default route) out of the link number `link`."""

    destination: str
    prefix: int
    link: int
    table: int


def mac_bytes(mac: str) -> bytes:
    """Six bytes of ``02:e5:0a:57:00:02``."""
    return bytes(int(part, 16) for part in mac.split(":"))


def new_bridge(name: str, *, mac: str, mtu: int) -> Message:
    """Make the bridge `name`, still down. Its MAC is fixed, so that it does not change with the ports of the bridge."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name) + attribute(_IFLA_ADDRESS, mac_bytes(mac))
    body += number(_IFLA_MTU, mtu) + nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, "bridge"))
    return Message(_RTM_NEWLINK, CREATE | EXCLUSIVE, body, f"make the bridge {name}")


def new_veth(name: str, *, master: int, peer: str, peer_namespace: int, peer_mac: str, mtu: int) -> Message:
    """Make a veth pair: `name`, up and in the bridge `master`; its `peer` is born in the namespace of a descriptor."""
    peer_body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, peer) + attribute(_IFLA_ADDRESS, mac_bytes(peer_mac))
    peer_body += number(_IFLA_MTU, mtu) + number(_IFLA_NET_NS_FD, peer_namespace)
    body = _LINK.pack(0, 0, 0, _UP, _UP) + text(_IFLA_IFNAME, name) + number(_IFLA_MTU, mtu)
    body += number(_IFLA_MASTER, master)
    data = nested(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer_body))
    body += nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, "veth"), data)
    return Message(_RTM_NEWLINK, CREATE | EXCLUSIVE, body, f"make the link {name} with its end {peer} in the container")


def allow_hairpin(name: str) -> Message:
    """Let the bridge send a packet back out of the port `name` where it came in: a container that asks for itself."""
    data = nested(_IFLA_INFO_SLAVE_DATA, attribute(_IFLA_BRPORT_MODE, b"\1"))
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
    body += nested(_IFLA_LINKINFO, text(_IFLA_INFO_SLAVE_KIND, "bridge"), data)
    return Message(_RTM_NEWLINK, 0, body, f"let packets return through {name}")


def delete_link(name: str) -> Message:
    """Remove a link; the other end of a veth goes with it."""
    return Message(_RTM_DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name), f"remove the link {name}")


def annotate(name: str, note: str) -> Message:
    """Give a link a note that `ip link` shows (its alias), at most 255 bytes."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name) + attribute(_IFLA_IFALIAS, note.encode()[:255])
    return Message(_RTM_NEWLINK, 0, body, f"annotate the link {name}")


def link_up(index: int) -> Message:
    return Message(_RTM_NEWLINK, 0, _LINK.pack(0, 0, index, _UP, _UP), f"set the link number {index} up")


def new_address(index: int, address: str, prefix: int) -> Message:
    """Give the link `index` an IPv4 address, and with it the route to its subnet."""
    local = _socket.inet_aton(address)
    host_bits = (1 << (32 - prefix)) - 1
    broadcast = (int.from_bytes(local, "big") | host_bits).to_bytes(4, "big")
    body = _ADDRESS.pack(_socket.AF_INET, prefix, 0, 0, index)
    body += attribute(_IFA_LOCAL, local) + attribute(_IFA_ADDRESS, local) + attribute(_IFA_BROADCAST, broadcast)
    return Message(
        _RTM_NEWADDR, CREATE | EXCLUSIVE, body, f"give the link number {index} the address {address}/{prefix}"
    )


def default_route(gateway: str) -> Message:
    """Send everything else to `gateway`."""
    body = _ROUTE.pack(_socket.AF_INET, 0, 0, 0, _TABLE_MAIN, _PROTOCOL_BOOT, 0, _TYPE_UNICAST, 0)
    body += attribute(_RTA_GATEWAY, _socket.inet_aton(gateway))
    return Message(_RTM_NEWROUTE, CREATE | EXCLUSIVE, body, f"make {gateway} the default route")


def routes(netlink: NetlinkSocket) -> list[Route]:
    """Every IPv4 unicast route, of all tables but the local one.

    Raises:
        OSError: the kernel refused.
    """
    body = _ROUTE.pack(_socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    found: list[Route] = []
    for reply in netlink.dump(Message(_RTM_GETROUTE, 0, body, "list the routes")):
        _, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(reply.body)
        values = attributes(reply.body[_ROUTE.size :])
        table = _integer(values.get(_RTA_TABLE), table)
        if kind != _TYPE_UNICAST or table == _TABLE_LOCAL:
            continue
        destination = _socket.inet_ntoa(values.get(_RTA_DST, bytes(4)))
        found.append(Route(destination, prefix, _integer(values.get(_RTA_OIF), 0), table))
    return found


def links(netlink: NetlinkSocket) -> list[Link]:
    """Every link of the namespace.

    Raises:
        OSError: the kernel refused.
    """
    found: list[Link] = []
    for reply in netlink.dump(Message(_RTM_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0), "list the links")):
        index = _LINK.unpack_from(reply.body)[2]
        values = attributes(reply.body[_LINK.size :])
        name, note = (
            values.get(kind, b"").rstrip(b"\0").decode(errors="replace") for kind in (_IFLA_IFNAME, _IFLA_IFALIAS)
        )
        mtu = _integer(values.get(_IFLA_MTU), 1500)
        found.append(Link(index, name, mtu, _integer(values.get(_IFLA_MASTER), 0), note))
    return found


def addresses(netlink: NetlinkSocket) -> list[tuple[int, str]]:
    """Every IPv4 address of the namespace with the index of its link.

    Raises:
        OSError: the kernel refused.
    """
    body = _ADDRESS.pack(_socket.AF_INET, 0, 0, 0, 0)
    found: list[tuple[int, str]] = []
    for reply in netlink.dump(Message(_RTM_GETADDR, 0, body, "list the addresses")):
        index = _ADDRESS.unpack_from(reply.body)[4]
        values = attributes(reply.body[_ADDRESS.size :])
        local = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
        if local:
            found.append((index, _socket.inet_ntoa(local)))
    return found


def index_of(name: str) -> int | None:
    """The index of the link `name` in the thread's namespace, or None."""
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        return None


def name_of(number: int) -> str | None:
    """The name of the link with that number in the thread's namespace, or None."""
    try:
        return _socket.if_indextoname(number)
    except OSError:
        return None


def _integer(value: bytes | None, default: int) -> int:
    return int(struct.unpack("=I", value)[0]) if value else default
