"""Tracked connections (`nfnetlink_conntrack.h`): those that must be forgotten when a port changes hands.

The kernel decides on translation with a connection's first packet. A UDP "connection" is only a pair of addresses that
has been seen lately, so a client that keeps sending from one port would for ever be led to where it was led first.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection

from estiba.linux.netlink import NETLINK_NETFILTER, Message, NetlinkSocket, attribute, attributes, nested, number

_SUBSYSTEM = 1 << 8
_GET = _SUBSYSTEM | 1
_DELETE = _SUBSYSTEM | 2
_IPV4 = 2

_TUPLE_ORIGINAL = 1
_ID = 12
_FILTER = 25
_FILTER_ORIGINAL_FLAGS = 1
_FILTER_REPLY_FLAGS = 2
_BY_PROTOCOL = 1 << 3
_BY_TARGET_PORT = 1 << 5

_TUPLE_IP = 1
_TUPLE_PROTOCOL = 2
_IP_TARGET = 2
_PROTOCOL_NUMBER = 1
_PROTOCOL_TARGET_PORT = 3

_HEADER = struct.pack("=BB", _IPV4, 0) + struct.pack("!H", 0)


def listing(protocol: int, port: int) -> Message:
    """Ask for the IPv4 connections of `protocol` (its number) that were begun to `port`; the kernel filters (5.8)."""
    ports = nested(
        _TUPLE_PROTOCOL,
        attribute(_PROTOCOL_NUMBER, struct.pack("B", protocol)),
        attribute(_PROTOCOL_TARGET_PORT, struct.pack("!H", port)),
    )
    flags = number(_FILTER_ORIGINAL_FLAGS, _BY_PROTOCOL | _BY_TARGET_PORT) + number(_FILTER_REPLY_FLAGS, 0)
    body = _HEADER + nested(_TUPLE_ORIGINAL, ports) + nested(_FILTER, flags)
    return Message(_GET, 0, body, f"list the connections to port {port}")


def forget(protocol: int, port: int, targets: Collection[bytes]) -> int:
    """Forget the connections to `port` of one of the addresses `targets` (four bytes each); gives their number.

    Where the kernel cannot list connections, nothing happens: they expire by themselves, after 30 silent seconds.

    Raises:
        OSError: the kernel refused.
    """
    gone = 0
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        try:
            found = netlink.dump(listing(protocol, port))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                return 0
            raise
        for reply in found:
            values = attributes(reply.body[len(_HEADER) :])
            original = values.get(_TUPLE_ORIGINAL, b"")
            target = attributes(attributes(original).get(_TUPLE_IP, b"")).get(_IP_TARGET, b"")
            if target not in targets:
                continue
            body = _HEADER + nested(_TUPLE_ORIGINAL, original) + attribute(_ID, values.get(_ID, bytes(4)))
            try:
                netlink.transact([Message(_DELETE, 0, body, f"forget a connection to port {port}")])
            except FileNotFoundError:
                continue
            gone += 1
    return gone
