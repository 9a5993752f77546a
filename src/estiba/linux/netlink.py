"""Netlink, hand-written: messages are bytes built by pure functions, many go to the kernel in one send.

Layouts: netlink(7), rtnetlink(7), `linux/netlink.h`. Numbers are in the machine's byte order, attributes are aligned to
four bytes. Only what Estiba asks of the kernel is here; links, addresses and routes are in `links.py`, firewall
elements in `nftables.py`, tracked connections in `conntrack.py`.
"""

from __future__ import annotations

import _socket
import os
import struct
from collections.abc import Iterator, Sequence

from estiba.values import NamedTuple

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

REQUEST = 0x001
ACK = 0x004
EXCLUSIVE = 0x200
CREATE = 0x400
DUMP = 0x300

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11

_ERROR = 2
_DONE = 3
_FLAG_DUMP_INTERRUPTED = 0x10
_FLAG_ACK_ATTRIBUTES = 0x200
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE_BUFFER = 1 << 17
_DUMP_ATTEMPTS = 8


class Message(NamedTuple):
    """One request: its type, its flags beyond REQUEST, its body, and what it does in a person's words."""

    type: int
    flags: int
    body: bytes
    what: str


class Reply(NamedTuple):
    """One message from the kernel."""

    type: int
    flags: int
    sequence: int
    body: bytes


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def text(kind: int, value: str) -> bytes:
    """A text attribute: NUL-terminated."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An unsigned 32 bit attribute in the machine's byte order."""
    return attribute(kind, struct.pack("=I", value))


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by kind, without the flags of the kind; of two of one kind the last counts."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data` in order; a broken length ends the walk."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def encode(message: Message, sequence: int) -> bytes:
    """The bytes of `message` as the kernel reads them."""
    length = _HEADER.size + len(message.body)
    head = _HEADER.pack(length, message.type, message.flags | REQUEST, sequence, 0)
    return head + message.body + bytes(-length % 4)


def decode(data: bytes) -> Iterator[Reply]:
    """The messages in one datagram of the kernel."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield Reply(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def _failure(reply: Reply, what: str) -> OSError | None:
    """The error that an acknowledgement carries, with the kernel's own explanation where it gives one."""
    code = -struct.unpack_from("=i", reply.body)[0]
    if code == 0:
        return None
    explanation = ""
    if reply.flags & _FLAG_ACK_ATTRIBUTES:
        hint = attributes(reply.body[4 + _HEADER.size :]).get(1, b"")
        explanation = f" ({hint.rstrip(bytes(1)).decode(errors='replace')})" if hint else ""
    return OSError(code, f"{what}: {os.strerror(code)}{explanation}")


class NetlinkSocket:
    """A socket to one netlink family, in the network namespace that the thread was in when it was made."""

    def __init__(self, family: int) -> None:
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, family)
        self._sequence = 0
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def transact(self, messages: Sequence[Message]) -> None:
        """Send `messages` in one datagram and wait until the kernel has acknowledged each.

        Raises:
            OSError: the first message that failed; the kernel has tried the later ones all the same.
        """
        waiting: dict[int, str] = {}
        datagram = b""
        for message in messages:
            self._sequence += 1
            waiting[self._sequence] = message.what
            datagram += encode(message._replace(flags=message.flags | ACK), self._sequence)
        self._socket.send(datagram)
        failures: dict[int, OSError] = {}
        while waiting:
            for reply in decode(self._socket.recv(_RECEIVE_BUFFER)):
                if reply.type != _ERROR or reply.sequence not in waiting:
                    continue
                failure = _failure(reply, waiting.pop(reply.sequence))
                if failure is not None:
                    failures[reply.sequence] = failure
        if failures:
            raise failures[min(failures)]

    def batch(self, begin: Message, messages: Sequence[Message], end: Message) -> None:
        """Send a transaction of nfnetlink: all of `messages` take effect or none; wait for each acknowledgement.

        `begin` and `end` are not acknowledged when all is well, so only the messages between them are waited for.

        Raises:
            OSError: the first failure.
        """
        first = self._sequence + 1
        self._sequence += len(messages) + 2
        names = {first: begin.what, self._sequence: end.what}
        datagram = encode(begin, first)
        for sequence, message in enumerate(messages, first + 1):
            names[sequence] = message.what
            datagram += encode(message._replace(flags=message.flags | ACK), sequence)
        datagram += encode(end, self._sequence)
        self._socket.send(datagram)
        waiting = set(range(first + 1, self._sequence))
        failures: dict[int, OSError] = {}
        while waiting:
            for reply in decode(self._socket.recv(_RECEIVE_BUFFER)):
                if reply.type != _ERROR or reply.sequence not in names:
                    continue
                waiting.discard(reply.sequence)
                failure = _failure(reply, names[reply.sequence])
                if failure is None:
                    continue
                failures[reply.sequence] = failure
                if reply.sequence in (first, self._sequence):  # the whole batch was refused
                    waiting.clear()
        if failures:
            raise failures[min(failures)]

    def dump(self, message: Message) -> list[Reply]:
        """Everything that the kernel lists for `message`; asked again when a change made the list inconsistent.

        Raises:
            OSError: the kernel refused, or the list kept changing.
        """
        for _ in range(_DUMP_ATTEMPTS):
            replies, interrupted = self._dump_once(message)
            if not interrupted:
                return replies
        raise OSError(f"{message.what}: the kernel's list changed during each of {_DUMP_ATTEMPTS} readings")

    def _dump_once(self, message: Message) -> tuple[list[Reply], bool]:
        self._sequence += 1
        self._socket.send(encode(message._replace(flags=message.flags | DUMP), self._sequence))
        replies: list[Reply] = []
        interrupted = False
        while True:
            for reply in decode(self._socket.recv(_RECEIVE_BUFFER)):
                if reply.sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(reply.flags & _FLAG_DUMP_INTERRUPTED)
                if reply.type == _DONE:
                    return replies, interrupted
                if reply.type == _ERROR:
                    failure = _failure(reply, message.what)
                    if failure is not None:
                        raise failure
                    return replies, interrupted
                replies.append(reply)
