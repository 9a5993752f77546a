"""Headers of tar entries: ustar blocks, with pax records only for what does not fit (POSIX.1-2017, pax, "ustar
Interchange Format" and "pax Header Block").

Everything in a ustar block that we write is ASCII: other names go into a pax record. That keeps every reader honest
and the checksum cheap (the sum of 512 bytes below 128 is less than Adler-32's modulus).
"""

from __future__ import annotations

import zlib

BLOCK = 512
ZEROS = bytes(BLOCK)
END_OF_ARCHIVE = bytes(2 * BLOCK)

REGULAR = b"0"
HARD_LINK = b"1"
SYMBOLIC_LINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
PAX = b"x"
PAX_GLOBAL = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_LINK = b"K"
GNU_SPARSE = b"S"

XATTR_PREFIX = b"SCHILY.xattr."

_MAGIC = b"ustar\x0000"
_NO_NAMES = bytes(64)
_ZERO_DEVICE = b"0000000\x000000000\x00"
_LIMIT_OF_7_DIGITS = 0o7777777
_LIMIT_OF_11_DIGITS = 0o77777777777
_PAX_MIDDLE = b"0000644\x000000000\x000000000\x00"


class HeaderEncoder:
    """Encodes headers; remembers the middle (mode, uid, gid) of a header, which most entries share."""

    def __init__(self) -> None:
        self._middles: dict[tuple[int, int, int], bytes] = {}

    def encode(
        self,
        name: bytes,
        kind: bytes,
        *,
        mode: int,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime: int = 0,
        link: bytes = b"",
        device: tuple[int, int] | None = None,
        xattrs: tuple[tuple[bytes, bytes], ...] = (),
    ) -> bytes:
        """The header blocks of one entry. `xattrs` must be sorted; directories' names end in a slash."""
        if (
            len(name) <= 100
            and not xattrs
            and len(link) <= 100
            and uid <= _LIMIT_OF_7_DIGITS
            and gid <= _LIMIT_OF_7_DIGITS
            and size <= _LIMIT_OF_11_DIGITS
            and 0 <= mtime <= _LIMIT_OF_11_DIGITS
            and name.isascii()
            and link.isascii()
        ):
            return self._ustar(name, b"", kind, mode, uid, gid, size, mtime, link, device)
        return self._with_pax(name, kind, mode, uid, gid, size, mtime, link, device, xattrs)

    def _with_pax(
        self,
        name: bytes,
        kind: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime: int,
        link: bytes,
        device: tuple[int, int] | None,
        xattrs: tuple[tuple[bytes, bytes], ...],
    ) -> bytes:
        records: list[tuple[bytes, bytes]] = [(XATTR_PREFIX + key, value) for key, value in xattrs]
        prefix = b""
        short_name = name
        if not name.isascii() or len(name) > 100:
            split = split_name(name) if name.isascii() else None
            if split is None:
                records.append((b"path", name))
                short_name = _placeholder(name)
            else:
                prefix, short_name = split
        short_link = link
        if not link.isascii() or len(link) > 100:
            records.append((b"linkpath", link))
            short_link = _placeholder(link)
        if uid > _LIMIT_OF_7_DIGITS:
            records.append((b"uid", b"%d" % uid))
            uid = 0
        if gid > _LIMIT_OF_7_DIGITS:
            records.append((b"gid", b"%d" % gid))
            gid = 0
        written_size = size
        if size > _LIMIT_OF_11_DIGITS:
            records.append((b"size", b"%d" % size))
            written_size = 0
        if not 0 <= mtime <= _LIMIT_OF_11_DIGITS:
            records.append((b"mtime", b"%d" % mtime))
            mtime = 0
        header = self._ustar(short_name, prefix, kind, mode, uid, gid, written_size, mtime, short_link, device)
        if not records:
            return header
        body = b"".join(pax_record(key, value) for key, value in sorted(records))
        pax = _seal(_fill(b"PaxHeaders/" + _placeholder(name)[-80:].lstrip(b"/"), _PAX_MIDDLE, len(body), 0, PAX))
        return pax + body + ZEROS[: -len(body) % BLOCK] + header

    def _ustar(
        self,
        name: bytes,
        prefix: bytes,
        kind: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime: int,
        link: bytes,
        device: tuple[int, int] | None,
    ) -> bytes:
        key = (mode, uid, gid)
        middle = self._middles.get(key)
        if middle is None:
            middle = self._middles[key] = b"%07o\0%07o\0%07o\0" % key
        return _seal(_fill(name, middle, size, mtime, kind, link, prefix, device))


def _fill(
    name: bytes,
    middle: bytes,
    size: int,
    mtime: int,
    kind: bytes,
    link: bytes = b"",
    prefix: bytes = b"",
    device: tuple[int, int] | None = None,
) -> bytes:
    devices = _ZERO_DEVICE if device is None else b"%07o\0%07o\0" % device
    return b"%b%b%011o\0%011o\0        %b%b%b%b%b%b" % (
        name.ljust(100, b"\0"),
        middle,
        size,
        mtime,
        kind,
        link.ljust(100, b"\0"),
        _MAGIC,
        _NO_NAMES,
        devices,
        prefix.ljust(167, b"\0"),
    )


def _seal(header: bytes) -> bytes:
    """Put the checksum into a header of ASCII: Adler-32's lower half is one more than the sum of the bytes."""
    return b"%b%06o\0 %b" % (header[:148], (zlib.adler32(header) & 0xFFFF) - 1, header[156:])


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """`name` as ustar's prefix (at most 155 bytes) and name (at most 100, not empty), or None if it cannot be split."""
    if len(name) > 256:
        return None
    slash = name.find(b"/", max(0, len(name) - 101))
    if slash in (-1, 0, len(name) - 1) or slash > 155:
        return None
    return name[:slash], name[slash + 1 :]


def pax_record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE\\n``, where the length counts its own digits."""
    bare = len(key) + len(value) + 3
    length = bare + len(b"%d" % bare)
    if len(b"%d" % length) != length - bare:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _placeholder(name: bytes) -> bytes:
    """What readers without pax see of a name: its end, in ASCII."""
    return bytes(byte if byte < 128 else 0x3F for byte in name[-100:]).lstrip(b"/")
