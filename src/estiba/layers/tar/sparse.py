"""Sparse files in tars: which bytes of the file the archive holds, and where they go.

There are four ways to say it: GNU's old kind of entry (GNU tar manual, "Old GNU Format"), and pax records of versions
0.0, 0.1 and 1.0 ("Storing Sparse Files"), of which the last has its map in front of the content.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from estiba.errors import Corrupt
from estiba.layers.tar.header import BLOCK
from estiba.values import NamedTuple

MOST_PIECES = 200_000
"""Of one file: what GNU tar writes for a file of 800 MB of which every other block is a hole."""

_PREFIX = b"GNU.sparse."
REPEATED = (_PREFIX + b"offset", _PREFIX + b"numbytes")
"""Version 0.0 has these two records for every piece, in turn: joined by commas they are the map of 0.1."""
MAP = _PREFIX + b"map"
_IN_HEADER, _IN_BLOCK = 4, 21
_LONGEST_NUMBER = 20


class BadMap(Corrupt):
    """Told on by the reader, which knows where in the tar it is."""


class SparseFile(NamedTuple):
    """`size` is the file's own, `pieces` are (offset, length) of what is stored of it, in order and apart."""

    size: int
    pieces: tuple[tuple[int, int], ...]

    @property
    def stored(self) -> int:
        return sum(length for _, length in self.pieces)


def is_sparse(records: dict[bytes, bytes]) -> bool:
    return any(key.startswith(_PREFIX) for key in records)


def name_of(records: dict[bytes, bytes], otherwise: bytes) -> bytes:
    """The file's name: the entry has another one, for readers who know nothing of this."""
    return records.get(_PREFIX + b"name") or otherwise


def from_records(records: dict[bytes, bytes], *, stored: int, block: Callable[[], bytes]) -> tuple[SparseFile, int]:
    """The file that pax records tell of, and how many of the `stored` bytes were its map, which `block` gives.

    Raises:
        BadMap.
    """
    version = (records.get(_PREFIX + b"major", b"0"), records.get(_PREFIX + b"minor", b"0"))
    if version == (b"1", b"0"):
        pieces, used = _map_in_front(stored, block)
        size = _number(records.get(_PREFIX + b"realsize", b""))
    elif version[0] == b"0":
        numbers = [_number(text) for text in records.get(MAP, b"").split(b",") if text]
        pieces, used = _pairs(numbers), 0
        size = _number(records.get(_PREFIX + b"size") or records.get(_PREFIX + b"realsize", b""))
    else:
        raise BadMap(f"a sparse file of version {version[0][:9]!r}.{version[1][:9]!r}")
    return _checked(SparseFile(size, pieces), stored - used), used


def from_header(
    header: bytes, number: Callable[[bytes], int], *, stored: int, block: Callable[[], bytes]
) -> SparseFile:
    """The file that an entry of GNU's old kind tells of; more of its map may be in the blocks that follow the header.

    Raises:
        BadMap.
    """
    size = number(header[483:495])
    fields, goes_on = header[386:482], header[482] != 0
    numbers: list[int] = []
    while True:
        for at in range(0, len(fields), 24):
            piece = fields[at : at + 24]
            if not piece.strip(b"\0"):
                break
            numbers += (number(piece[:12]), number(piece[12:]))
        if not goes_on:
            return _checked(SparseFile(size, _pairs(numbers)), stored)
        if len(numbers) > 2 * MOST_PIECES:
            raise BadMap(f"a sparse file of more than {MOST_PIECES} pieces")
        more = block()
        fields, goes_on = more[:504], more[504] != 0


def _map_in_front(stored: int, block: Callable[[], bytes]) -> tuple[tuple[tuple[int, int], ...], int]:
    """Version 1.0: decimal numbers, a line each, of which the first is the number of pieces; filled up to a block."""
    numbers: list[int] = []
    wanted, used, rest = 1, 0, b""
    while len(numbers) < wanted:
        if used + BLOCK > stored:
            raise BadMap("a sparse file whose map has no end")
        used += BLOCK
        *lines, rest = (rest + block()).split(b"\n")
        if len(rest) > _LONGEST_NUMBER and len(numbers) + len(lines) < wanted:
            raise BadMap("a sparse file whose map is no list of numbers")
        for line in lines:
            numbers.append(_number(line))
            if len(numbers) == 1:
                wanted = 1 + 2 * numbers[0]
                if numbers[0] > MOST_PIECES:
                    raise BadMap(f"a sparse file of more than {MOST_PIECES} pieces")
            if len(numbers) == wanted:
                break
    return _pairs(numbers[1:]), used


def _pairs(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    if len(numbers) % 2:
        raise BadMap("a sparse file with half a piece")
    if len(numbers) > 2 * MOST_PIECES:
        raise BadMap(f"a sparse file of more than {MOST_PIECES} pieces")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > _LONGEST_NUMBER:
        raise BadMap(f"a sparse file with {text[:_LONGEST_NUMBER]!r} for a number")
    return int(text)


def _checked(file: SparseFile, stored: int) -> SparseFile:
    """Pieces lie within the file, one after the other, and are all that is stored."""
    ends = [(offset, offset + length) for offset, length in file.pieces]
    if any(offset < 0 or end < offset or end > file.size for offset, end in ends):
        raise BadMap("a sparse file with a piece outside of it")
    if any(after[0] < before[1] for before, after in pairwise(ends)):
        raise BadMap("a sparse file whose pieces overlap")
    if file.stored != stored:
        raise BadMap(f"a sparse file with {stored} bytes of content, whose map tells of {file.stored}")
    return file
