"""Compression of layers: recognised by its first bytes, made in blocks whose bytes depend on nothing but the input.

Compressing works on blocks of `BLOCK_SIZE` bytes, each independent of the others, so that threads share the work and
the result does not depend on how many there are. gzip blocks are raw deflate that ends on a byte boundary (as pigz
does it), joined into one gzip member without name and time; zstd blocks are frames.

A block that does not shrink in a probe is stored, which makes packing of incompressible data cheap.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from estiba.errors import InvalidInput

NONE = "none"
GZIP = "gzip"
ZSTD = "zstd"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4", b"\x5d\x00\x00": "lzma"}

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no flags, no time, fastest, unknown system
_LAST_DEFLATE_BLOCK = b"\x03\x00"  # final, fixed codes, nothing but the end
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 3
_PROBE_SIZE = 16 << 10
_STORED_LIMIT = 0xFFFF


class UnknownCompression(InvalidInput):
    def __init__(self, name: str) -> None:
        super().__init__(f"unknown compression {name!r}", remedy="Choose gzip, zstd or none.")


def detect(first: bytes) -> str:
    """The compression of a stream by its `first` bytes (six are enough): ``gzip``, ``zstd`` or ``none``.

    Raises:
        InvalidInput: it is another known compression, which layers cannot have.
    """
    if first.startswith(_GZIP_MAGIC):
        return GZIP
    # A zstd stream may begin with a skippable frame (0x184D2A50 to 0x184D2A5F).
    if first.startswith(_ZSTD_MAGIC) or (first[1:4] == b"\x2a\x4d\x18" and first[0] >> 4 == 5):
        return ZSTD
    for magic, name in _OTHERS.items():
        if first.startswith(magic):
            raise InvalidInput(f"a layer compressed with {name}", remedy="Layers are plain tar, gzip or zstd.")
    return NONE


class BlockCompressor(Protocol):
    """Turns blocks into a stream: `header`, then `compress(block)` of each in any thread, then `trailer()`."""

    header: bytes

    def compress(self, block: memoryview, /) -> bytes: ...

    def observe(self, block: memoryview, /) -> None:
        """See each block in order, for what the trailer needs."""

    def trailer(self) -> bytes: ...


def compressor(name: str) -> BlockCompressor:
    """The compressor called `name`: ``gzip`` or ``zstd``.

    Raises:
        UnknownCompression: it is neither.
    """
    if name == GZIP:
        return GzipBlocks()
    if name == ZSTD:
        return ZstdBlocks()
    raise UnknownCompression(name)


class GzipBlocks:
    """One gzip member (RFC 1952) from independent blocks of deflate (RFC 1951)."""

    header = _GZIP_HEADER

    def __init__(self) -> None:
        self._crc = 0
        self._size = 0

    def compress(self, block: memoryview, /) -> bytes:
        if len(block) > 2 * _PROBE_SIZE:
            middle = len(block) // 2
            probe = _deflate(block[middle : middle + _PROBE_SIZE])
            if len(probe) > _PROBE_SIZE - _PROBE_SIZE // 32:
                return _store(block)
        return _deflate(block)

    def observe(self, block: memoryview, /) -> None:
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)

    def trailer(self) -> bytes:
        ending = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return _LAST_DEFLATE_BLOCK + ending


class ZstdBlocks:
    """Zstandard frames (RFC 8878), one a block."""

    header = b""

    def compress(self, block: memoryview, /) -> bytes:
        import zstandard

        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False).compress(block)

    def observe(self, block: memoryview, /) -> None:
        pass

    def trailer(self) -> bytes:
        return b""


def _deflate(block: memoryview) -> bytes:
    stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(block) + stream.flush(zlib.Z_SYNC_FLUSH)


def _store(block: memoryview) -> bytes:
    parts: list[bytes | memoryview] = []
    for start in range(0, len(block), _STORED_LIMIT):
        piece = block[start : start + _STORED_LIMIT]
        parts.append(b"\0" + len(piece).to_bytes(2, "little") + (len(piece) ^ 0xFFFF).to_bytes(2, "little"))
        parts.append(piece)
    return b"".join(parts)
