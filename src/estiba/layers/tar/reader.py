"""Reading tars of any maker as a stream: ustar, pax with global headers, GNU long names and numbers, and plain V7.

A stream that ends at the end of an entry is accepted, with or without its padding and the end-of-archive blocks: some
tools write layers like that. GNU's sparse files are read in all their forms; its volumes are refused.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from estiba.errors import Corrupt, InvalidInput
from estiba.layers.decompress import TooLarge
from estiba.layers.tar import sparse
from estiba.layers.tar.header import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    GNU_SPARSE,
    HARD_LINK,
    PAX,
    PAX_GLOBAL,
    REGULAR,
    SYMBOLIC_LINK,
    XATTR_PREFIX,
    ZEROS,
)
from estiba.values import NamedTuple

LONGEST_RECORDS = 1 << 20
"""Bytes of pax records or of a GNU long name for one entry; PAX allows 8 GiB, nobody needs it."""

_KINDS = frozenset((REGULAR, HARD_LINK, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO))
_WITHOUT_CONTENT = _KINDS - {REGULAR}
_OLD_REGULAR = b"\0"
_CONTIGUOUS = b"7"
_ADLER_MODULUS = 65521
_LARGEST_ID = (1 << 32) - 1
_LATEST_NS = (1 << 63) - 1


class BadTar(Corrupt):
    """The stream is not a tar, or a damaged one. `at` is the offset in bytes of the header in question."""

    def __init__(self, reason: str, *, at: int) -> None:
        super().__init__(f"damaged tar: {reason} at byte {at}")


class Entry(NamedTuple):
    """One entry as it is written: nothing about `name` or `link` has been checked. `size` is that of the file, holes
    and all.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    major: int
    minor: int
    xattrs: tuple[tuple[str, bytes], ...]


class TarReader:
    """Entries in order. Between two of them, `content_to` may take the content; what is not taken is skipped.

    `most_sparse` are the bytes that all sparse files together may have: a small tar can tell of endless ones.
    """

    def __init__(self, chunks: Iterator[bytes], *, most_sparse: int = 1 << 40) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0
        self._before = 0  # bytes of the chunks before this one
        self._left = 0
        self._padding = 0
        self._middles: dict[bytes, tuple[int, int, int]] = {}
        self._sparse: sparse.SparseFile | None = None
        self._most_sparse = self._sparse_left = most_sparse

    def entries(self) -> Iterator[Entry]:
        """Every entry.

        Raises:
            BadTar: damaged, or cut. InvalidInput: an entry of a kind that layers do not have. TooLarge: too sparse.
            whatever the chunks' iterator raises.
        """
        shared: dict[bytes, bytes] = {}
        own: dict[bytes, bytes] = {}
        while True:
            self._skip_rest()
            start = self._before + self._at
            header = self._block()
            if header is None or header == ZEROS:
                if own:
                    raise BadTar("it ends after a header of pax records", at=start)
                return
            self._check(header, start)
            kind = header[156:157]
            if kind in (PAX, PAX_GLOBAL):
                records = self._records(_number(header[124:136], start), start)
                (shared if kind == PAX_GLOBAL else own).update(records)
            elif kind in (GNU_LONG_NAME, GNU_LONG_LINK):
                text = self._text(_number(header[124:136], start), start).rstrip(b"\0")
                own[b"path" if kind == GNU_LONG_NAME else b"linkpath"] = text
            else:
                records = {**shared, **own} if own or shared else own
                entry = self._entry(header, kind, records, start)
                own = {}
                self._left = entry.size
                self._padding = -entry.size % BLOCK
                self._sparse = None
                if kind == GNU_SPARSE or (records and entry.kind == REGULAR and sparse.is_sparse(records)):
                    entry = self._sparse_entry(entry, header, records, start)
                yield entry

    def content_to(self, descriptor: int) -> None:
        """Write the content of the entry last given to the file `descriptor`.

        Raises:
            BadTar: it ends too early. OSError: the file cannot be written.
        """
        if self._sparse is None:
            self._copy(descriptor, self._left)
            return
        for offset, length in self._sparse.pieces:
            os.lseek(descriptor, offset, os.SEEK_SET)
            self._copy(descriptor, length)
        os.ftruncate(descriptor, self._sparse.size)

    def _copy(self, descriptor: int, left: int) -> None:
        self._left -= left
        while left:
            available = len(self._chunk) - self._at
            if not available:
                if not self._next_chunk():
                    raise BadTar(f"{left} bytes are missing in a file's content", at=self._before)
                continue
            count = left if left < available else available
            if self._at == 0 and count == len(self._chunk):
                written = os.write(descriptor, self._chunk)
            else:
                written = os.write(descriptor, memoryview(self._chunk)[self._at : self._at + count])
            self._at += written
            left -= written

    def drain(self) -> None:
        """Read to the end of the stream, so that digests of it are complete."""
        while self._next_chunk():
            pass

    def _entry(self, header: bytes, kind: bytes, records: dict[bytes, bytes], start: int) -> Entry:
        end = header.find(b"\0", 0, 100)
        name = header[: end if end >= 0 else 100]
        if header[257:263] == b"ustar\0" and header[345] != 0:
            name = _until_nul(header[345:500]) + b"/" + name
        size = _number(header[124:136], start)
        middle = header[100:124]
        numbers = self._middles.get(middle)
        if numbers is None:
            numbers = (_number(middle[:8], start), _number(middle[8:16], start), _number(middle[16:], start))
            self._middles[middle] = numbers
        mode, uid, gid = numbers
        mtime_ns = _number(header[136:148], start) * 1_000_000_000
        link = _until_nul(header[157:257]) if header[157] else b""
        xattrs: tuple[tuple[str, bytes], ...] = ()
        if records:
            name = records.get(b"path") or name
            link = records.get(b"linkpath") or link
            size = _decimal(records, b"size", size, start)
            uid = _decimal(records, b"uid", uid, start)
            gid = _decimal(records, b"gid", gid, start)
            if b"mtime" in records:
                mtime_ns = _seconds(records[b"mtime"], start)
            xattrs = tuple(
                (os.fsdecode(key[len(XATTR_PREFIX) :]), value)
                for key, value in sorted(records.items())
                if key.startswith(XATTR_PREFIX)
            )
            name = sparse.name_of(records, name)
            if b"\0" in name or b"\0" in link:
                raise BadTar("a name with a zero byte", at=start)
        if size < 0 or not 0 <= uid < _LARGEST_ID or not 0 <= gid < _LARGEST_ID or abs(mtime_ns) > _LATEST_NS:
            raise BadTar("an owner, size or time that cannot be", at=start)
        if kind in (_OLD_REGULAR, _CONTIGUOUS):
            kind = DIRECTORY if name.endswith(b"/") and kind == _OLD_REGULAR else REGULAR
        if kind in _WITHOUT_CONTENT:
            # Some makers give the size of the file with a hard link; no content follows (pax, "typeflag").
            size = 0
        elif kind == GNU_SPARSE:
            kind = REGULAR
        elif kind != REGULAR:
            raise InvalidInput(f"{os.fsdecode(name)}: a tar entry of kind {os.fsdecode(kind)!r}, which no layer has")
        major = minor = 0
        if kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            major, minor = _number(header[329:337], start), _number(header[337:345], start)
        return Entry(name, kind, mode & 0o7777, uid, gid, size, mtime_ns, link, major, minor, xattrs)

    def _sparse_entry(self, entry: Entry, header: bytes, records: dict[bytes, bytes], start: int) -> Entry:
        """The same with the file's own size; what tells where its pieces go is read, and they are next."""

        def block() -> bytes:
            data = self._read(BLOCK)
            if len(data) < BLOCK:
                raise BadTar("it ends within the map of a sparse file", at=start)
            return data

        try:
            if header[156:157] == GNU_SPARSE:
                numbers = header, lambda field: _number(field, start)
                self._sparse = sparse.from_header(*numbers, stored=entry.size, block=block)
            else:
                self._sparse, used = sparse.from_records(records, stored=entry.size, block=block)
                self._left -= used
        except sparse.BadMap as error:
            raise BadTar(error.message, at=start) from None
        self._sparse_left -= self._sparse.size
        if self._sparse_left < 0:
            raise TooLarge(self._most_sparse)
        return entry._replace(size=self._sparse.size)

    @staticmethod
    def _check(header: bytes, start: int) -> None:
        # The sum of all bytes is Adler-32's lower half less one; the checksum counts as eight spaces.
        total = (zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 8 * 0x20
        if header[148:156] == b"%06o\0 " % total:
            return  # as nearly everybody writes it
        announced = _number(header[148:156], start)
        if (total - announced) % _ADLER_MODULUS == 0:
            return
        signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 8 * 0x20
        if signed != announced:
            raise BadTar("a header with a wrong checksum", at=start)

    def _records(self, size: int, start: int) -> dict[bytes, bytes]:
        """Pax records: ``LENGTH KEY=VALUE\\n`` each."""
        body = self._text(size, start)
        records: dict[bytes, bytes] = {}
        pieces: list[bytes] = []
        at = 0
        while at < len(body):
            space = body.find(b" ", at, at + 12)
            digits = body[at:space]
            if space < 0 or not digits.isdigit():
                raise BadTar("a pax record without a length", at=start)
            end = at + int(digits)
            equals = body.find(b"=", space, end)
            if end > len(body) or equals < 0 or body[end - 1 : end] != b"\n":
                raise BadTar("a pax record of a wrong length", at=start)
            key, value = body[space + 1 : equals], body[equals + 1 : end - 1]
            if key in sparse.REPEATED:
                pieces.append(value)
            else:
                records[key] = value
            at = end
        if pieces:
            records[sparse.MAP] = b",".join(pieces)
        return records

    def _text(self, size: int, start: int) -> bytes:
        if not 0 <= size <= LONGEST_RECORDS:
            raise BadTar(f"a header of {size} bytes (at most {LONGEST_RECORDS} are allowed)", at=start)
        data = self._read(size)
        if len(data) < size:
            raise BadTar("it ends within a header", at=start)
        self._padding = -size % BLOCK
        return data

    def _skip_rest(self) -> None:
        """Go to the next header; the padding may be missing at the end."""
        at = self._at + self._left + self._padding
        if at <= len(self._chunk):
            self._at = at
            self._left = self._padding = 0
            return
        while self._left:
            available = len(self._chunk) - self._at
            if not available and not self._next_chunk():
                raise BadTar(f"{self._left} bytes are missing in a file's content", at=self._before)
            count = min(self._left, len(self._chunk) - self._at)
            self._at += count
            self._left -= count
        self._read(self._padding)
        self._padding = 0

    def _block(self) -> bytes | None:
        at = self._at
        if at + BLOCK <= len(self._chunk):
            self._at = at + BLOCK
            return self._chunk[at : at + BLOCK]
        start = self._before + at
        block = self._read(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            if not block.strip(b"\0"):
                return None
            raise BadTar("it ends within a header", at=start)
        return block

    def _read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end of the stream."""
        parts: list[bytes] = []
        while size:
            if self._at == len(self._chunk) and not self._next_chunk():
                break
            part = self._chunk[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _next_chunk(self) -> bool:
        self._before += len(self._chunk)
        self._at = 0
        self._chunk = next(self._chunks, b"")
        return bool(self._chunk)


def _until_nul(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _number(field: bytes, start: int) -> int:
    """An octal number with spaces or zeros around it, or GNU's base-256 (highest bit set)."""
    if field[-1] in b"\0 " and field[:-1].isdigit():  # as nearly everybody writes it
        try:
            return int(field[:-1], 8)
        except ValueError:
            raise BadTar(f"a field of a header is no octal number: {field[:-1]!r}", at=start) from None
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    # A stray zero byte in the middle ends the number.
    digits = _until_nul(digits).rstrip()
    if not digits.isdigit():
        raise BadTar(f"a field of a header is no octal number: {digits!r}", at=start)
    try:
        return int(digits, 8)
    except ValueError:
        raise BadTar(f"a field of a header is no octal number: {digits!r}", at=start) from None


def _decimal(records: dict[bytes, bytes], key: bytes, otherwise: int, start: int) -> int:
    text = records.get(key)
    if not text:
        return otherwise
    if not text.isdigit() or len(text) > 18:
        raise BadTar(f"the pax record {key.decode()} is {text[:40]!r}, no number", at=start)
    return int(text)


def _seconds(text: bytes, start: int) -> int:
    """Decimal seconds with a fraction, in nanoseconds; those are all that a file system knows."""
    whole, _, fraction = text.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 12 or (fraction and not fraction.isdigit()):
        raise BadTar(f"the pax record mtime is {text[:40]!r}, no time", at=start)
    value = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value
