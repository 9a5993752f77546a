"""Compression of layers: recognised by its first bytes, made in blocks whose bytes depend on nothing but the input.

Each block of `BLOCK_SIZE` bytes is compressed for itself, to a gzip member or a zstd frame, and the stream is all of
them in a row (RFC 1952, 2.2; RFC 8878, 3.1). So threads share the work, and how many there are does not matter. A
block that does not shrink in a probe is stored, which makes packing of incompressible data cheap.

Why libdeflate makes the gzip: its bytes depend on its version alone, which pyproject pins. isal is twice as fast, but
gives other bytes on a CPU without SSE 4.2 and on other architectures; zlib-ng differs between architectures; the zlib
that Python was built with may be either of them. Level 1 is 2.1 to 2.3 times as fast as zlib's, and 2 to 10 % smaller.
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.values import Protocol

NONE = "none"
GZIP = "gzip"
ZSTD = "zstd"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4", b"\x5d\x00\x00": "lzma"}

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no flags, no time, fastest, unknown system
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
    """Turns each block into a piece of a stream, from any thread; the pieces in order are the stream."""

    def compress(self, block: bytes | memoryview, /) -> bytes | bytearray: ...


def compressor(name: str) -> BlockCompressor:
    """The compressor called `name`: ``gzip`` or ``zstd``.

    Raises:
        UnknownCompression: it is neither.
    """
    if name == GZIP:
        return GzipMembers()
    if name == ZSTD:
        return ZstdFrames()
    raise UnknownCompression(name)


class GzipMembers:
    """A gzip member for each block, without name and time (RFC 1952)."""

    def compress(self, block: bytes | memoryview, /) -> bytes | bytearray:
        import deflate

        if len(block) > 2 * _PROBE_SIZE:
            middle = len(block) // 2
            probe = deflate.deflate_compress(block[middle : middle + _PROBE_SIZE], _GZIP_LEVEL)
            if len(probe) > _PROBE_SIZE - _PROBE_SIZE // 32:
                return _stored(block, deflate.crc32(block))
        return deflate.gzip_compress(block, _GZIP_LEVEL)


class ZstdFrames:
    """A Zstandard frame for each block (RFC 8878)."""

    def compress(self, block: bytes | memoryview, /) -> bytes | bytearray:
        import zstandard

        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False).compress(block)


def _stored(block: bytes | memoryview, checksum: int) -> bytes:
    """A gzip member of stored blocks (RFC 1951, 3.2.4)."""
    parts: list[bytes | memoryview] = [_GZIP_HEADER]
    size = len(block)
    for start in range(0, size, _STORED_LIMIT):
        piece = block[start : start + _STORED_LIMIT]
        is_last = start + _STORED_LIMIT >= size
        length = len(piece)
        parts.append(bytes((is_last,)) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little"))
        parts.append(piece)
    parts.append(checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"))
    return b"".join(parts)
