"""Messages of the domain name system: what is asked, and answers to it (RFC 1035, sections 3 and 4); pure."""

from __future__ import annotations

import struct

from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

A, PTR, AAAA, ANY = 1, 12, 28, 255
_INTERNET = 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 0, 1, 2, 3, 4, 5
_REPLY, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE, _OPCODE = 0x8000, 0x0400, 0x0100, 0x0080, 0x7800
_HEADER = struct.Struct("!HHHHHH")
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_TO_THE_QUESTION = b"\xc0\x0c"  # a name that is the question's: a pointer to where that stands


class Question(NamedTuple):
    """`name` is in lower case and without the dot at its end, its letters those of UTF-8; `raw` are the bytes of the
    question as they came."""

    identity: int
    flags: int
    name: str
    kind: int
    raw: bytes


def parse(data: bytes) -> Question | None:
    """The question of a query; None where it is no query with one question about the internet."""
    if len(data) < _HEADER.size:
        return None
    identity, flags, questions, _, _, _ = _HEADER.unpack_from(data)
    if flags & (_REPLY | _OPCODE) or questions != 1:
        return None
    labels: list[str] = []
    place = _HEADER.size
    while True:
        if place >= len(data):
            return None
        length = data[place]
        place += 1
        if length == 0:
            break
        if length > _LONGEST_LABEL or place + length - _HEADER.size > _LONGEST_NAME:
            return None
        labels.append(data[place : place + length].decode("utf-8", "surrogateescape"))
        place += length
    if place + 4 > len(data):
        return None
    kind, family = struct.unpack_from("!HH", data, place)
    if family != _INTERNET:
        return None
    name = ".".join(labels).lower()
    return Question(identity, flags, name, kind, data[_HEADER.size : place + 4])


def is_answer(data: bytes, query: bytes) -> bool:
    """Whether `data` answers `query`: the same number and the same question, so that nobody else's word is taken."""
    question = parse(query)
    if question is None or len(data) < _HEADER.size + len(question.raw) or data[:2] != query[:2] or not data[2] & 0x80:
        return False
    return data[_HEADER.size : _HEADER.size + len(question.raw)].lower() == question.raw.lower()


def addresses(question: Question, found: Sequence[bytes], *, lifetime: int) -> bytes:
    """The answer with IPv4 addresses (four bytes each), which hold for `lifetime` seconds. None of them to a question
    of another kind: the name exists, and has no such record."""
    asked = found if question.kind in (A, ANY) else ()
    return _answer(question, [_record(A, lifetime, address) for address in asked])


def pointer(question: Question, name: str, *, lifetime: int) -> bytes:
    """The answer with the name of an address; that there is none, where that is no name that can be told."""
    data = encoded(name)
    if data is None:
        return failure(question, NO_SUCH_NAME)
    return _answer(question, [_record(PTR, lifetime, data)])


def encoded(name: str) -> bytes | None:
    """A name as it is in a message; None where it is too long, a part of it is, or has no letters."""
    labels = [label.encode() for label in in_ascii(name).split(".")]
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        return None
    data = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return data if len(data) <= _LONGEST_NAME else None


def in_ascii(name: str) -> str:
    """A name in other letters than ASCII's as it is asked for: ``xn--caf-dma`` of ``café`` (RFC 3492)."""
    if name.isascii():
        return name
    parts = name.split(".")
    return ".".join(part if part.isascii() else f"xn--{part.encode('punycode').decode()}" for part in parts)


def code(answer: bytes) -> int:
    """Whether an answer is one, or why not."""
    return answer[3] & 15


def failure(question: Question, code: int) -> bytes:
    """An answer that there is none."""
    return _answer(question, [], code)


def reversed_address(name: str) -> str:
    """``192.0.2.7`` of ``7.2.0.192.in-addr.arpa``; "" of other names."""
    head = name.removesuffix(".in-addr.arpa")
    parts = head.split(".")
    return ".".join(reversed(parts)) if head != name and len(parts) == 4 else ""


def _answer(question: Question, records: Sequence[bytes], code: int = NO_ERROR) -> bytes:
    flags = _REPLY | _AUTHORITATIVE | _RECURSION_AVAILABLE | (question.flags & _RECURSION_DESIRED) | code
    header = _HEADER.pack(question.identity, flags, 1, len(records), 0, 0)
    return header + question.raw + b"".join(records)


def _record(kind: int, lifetime: int, data: bytes) -> bytes:
    return _TO_THE_QUESTION + struct.pack("!HHIH", kind, _INTERNET, lifetime, len(data)) + data
