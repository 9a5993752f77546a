"""Decompressing layers: bounded pieces out of a stream, whatever it is compressed with, and the digests of both sides.

Nothing is held but one piece, so a bomb costs time and, at most, the limit that the caller sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from estiba.errors import Corrupt
from estiba.layers.compression import GZIP, NONE, ZSTD, detect
from estiba.layers.zstd_frames import FrameWalk
from estiba.oci.digest import Digest
from estiba.values import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import IO

_READ_SIZE = 256 << 10
_PIECE = 1 << 20
_LARGEST_WINDOW = 1 << 27  # what the zstd command line takes by default


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class DamagedStream(Corrupt):
    def __init__(self, compression: str, reason: str, *, after: int) -> None:
        super().__init__(f"a damaged {compression} stream: {reason} after {after} bytes")


class TooLarge(Corrupt):
    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the layer is larger than {limit} bytes when it is decompressed",
            remedy="It may be a decompression bomb; if it is not, raise the limit.",
        )


class VerifiedStream:
    """The decompressed pieces of `stream`, once, and then what was read.

    After the last piece `digest` and `size` are those of the stream as it came, `diff_id` and `tar_size` those of what
    it contains.
    """

    def __init__(self, stream: Readable, *, limit: int) -> None:
        self.compression = NONE
        self.size = 0
        self.tar_size = 0
        self._stream = stream
        self._limit = limit
        self._outer = hashlib.sha256()
        self._inner = hashlib.sha256()

    @property
    def digest(self) -> Digest:
        return self.diff_id if self.compression == NONE else Digest("sha256", self._outer.hexdigest())

    @property
    def diff_id(self) -> Digest:
        return Digest("sha256", self._inner.hexdigest())

    def read(self, size: int = _READ_SIZE) -> bytes:
        """The next bytes as they came, for a decompressor."""
        data = self._stream.read(size)
        self.size += len(data)
        if self.compression != NONE:
            self._outer.update(data)
        return data

    def pieces(self) -> Iterator[bytes]:
        """Decompressed pieces of at most 1 MiB.

        Raises:
            DamagedStream: it cannot be decompressed, or is cut. TooLarge: more than the limit.
            InvalidInput: another compression. What `stream.read` raises.
        """
        first = self.read()
        while 0 < len(first) < 6:
            more = self.read()
            if not more:
                break
            first += more
        self.compression = detect(first)
        if self.compression != NONE:
            self._outer.update(first)
        source = {GZIP: self._gzip, ZSTD: self._zstd, NONE: self._plain}[self.compression](first)
        for piece in source:
            self.tar_size += len(piece)
            if self.tar_size > self._limit:
                raise TooLarge(self._limit)
            self._inner.update(piece)
            yield piece

    def _plain(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield data
            data = self.read()

    def _gzip(self, data: bytes) -> Iterator[bytes]:
        """Members one after the other (RFC 1952, 2.2); zeros after the last one are padding."""
        from isal import igzip_lib

        damage: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # the stubs have it as a value
        try:
            while data.strip(b"\0"):
                member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                while True:
                    piece = member.decompress(data, _PIECE)
                    if piece:
                        yield piece
                    if member.eof:
                        break
                    data = self.read() if member.needs_input else b""
                    if not data and member.needs_input:
                        raise DamagedStream(GZIP, "it ends too early", after=self.size)
                data = member.unused_data or self.read()
        except damage as error:
            raise DamagedStream(GZIP, str(error), after=self.size) from error

    def _zstd(self, first: bytes) -> Iterator[bytes]:
        import zstandard

        # Frame by frame, and never more output than asked: a few bytes of zstd may stand for gigabytes.
        walk = FrameWalk()
        source: IO[bytes] = _Ahead(first, self, walk)  # type: ignore[assignment]  # it calls nothing but read
        reader = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).stream_reader(
            source, read_size=_READ_SIZE, read_across_frames=True
        )
        try:
            while piece := reader.read(_PIECE):
                yield piece
        except zstandard.ZstdError as error:
            raise DamagedStream(ZSTD, str(error), after=self.size) from error
        if not walk.is_between_frames:
            raise DamagedStream(ZSTD, "it ends too early", after=self.size)


class _Ahead:
    """A stream of which the `first` bytes have been read already; `walk` sees all that is read from here."""

    def __init__(self, first: bytes, stream: VerifiedStream, walk: FrameWalk) -> None:
        self._first = first
        self._stream = stream
        self._walk = walk

    def read(self, size: int) -> bytes:
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
        else:
            data = self._stream.read(size)
        self._walk.feed(data)
        return data
