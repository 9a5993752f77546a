"""Byte ranges: `Range` of a blob read (RFC 9110, section 14) and `Content-Range` of a chunk (distribution-spec)."""

from __future__ import annotations

import re

from estiba.values import NamedTuple

_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*")
_CHUNK = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?")
_CONTENT = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class ByteRange(NamedTuple):
    """Bytes `start` up to and with `end`; never empty."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


class Unsatisfiable(Exception):
    """A well-formed range of which the content has no byte: 416."""


def parse_range(text: str, *, size: int) -> ByteRange | None:
    """What a `Range` header asks of a content of `size` bytes; None where the whole is to be sent.

    A malformed header and one with several ranges are ignored, as RFC 9110 (14.2) lets a server do.

    Raises:
        Unsatisfiable: the range lies past the end.
    """
    found = _RANGE.fullmatch(text)
    if not found:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        if length == 0:
            raise Unsatisfiable
        return ByteRange(size - length, size - 1)
    start = int(first)
    if last is not None and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start, size - 1 if last is None else min(int(last), size - 1))


def parse_chunk(text: str) -> ByteRange | None:
    """The `Content-Range` of a chunk, ``start-end``; None where it is malformed.

    Some clients write it as RFC 9110 has it (``bytes 0-9/*``); that is understood too.
    """
    found = _CHUNK.fullmatch(text.strip())
    if not found:
        return None
    start, end = int(found[1]), int(found[2])
    return ByteRange(start, end) if end >= start else None


def parse_content_range(text: str) -> tuple[ByteRange, int | None] | None:
    """The `Content-Range` of a partial answer: the range, and the whole's size where it is told."""
    found = _CONTENT.fullmatch(text.strip())
    if not found or int(found[2]) < int(found[1]):
        return None
    return ByteRange(int(found[1]), int(found[2])), None if found[3] == "*" else int(found[3])


def received(size: int) -> str:
    """The `Range` header of an upload session which holds `size` bytes."""
    return f"0-{max(size - 1, 0)}"


def offset_of(text: str) -> int | None:
    """How many bytes a session holds whose `Range` header is `text`: the reverse of `received`, None where malformed.

    ``0-0`` is taken as nothing: one byte sent twice is told by the server, one byte left out is not.
    """
    found = parse_chunk(text)
    if found is None or found.start != 0:
        return None
    return found.end + 1 if found.end else 0
