"""Where the frames of a zstd stream end (RFC 8878, 3.1), which the library that decompresses them does not tell.

It takes a stream that was cut for one that is over.
"""

from __future__ import annotations

_SKIPPABLE = b"\x2a\x4d\x18"
_DICTIONARY_SIZES = (0, 1, 2, 4)
_CONTENT_SIZES = (0, 2, 4, 8)
_RLE = 1
_CHECKSUM = 4


class FrameWalk:
    """Follows a stream from header to header. What is wrong in it is for others to find."""

    def __init__(self) -> None:
        self._skip = 0
        self._held = b""
        self._needed = 4
        self._next = self._magic
        self._checksum = 0

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream may end here."""
        return self._next == self._magic and not self._skip and not self._held

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        at, end = 0, len(data)
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                continue
            part = data[at : at + self._needed - len(self._held)]
            at += len(part)
            self._held += part
            if len(self._held) == self._needed:
                held, self._held = self._held, b""
                self._next(held)

    def _magic(self, held: bytes) -> None:
        is_skippable = held[1:] == _SKIPPABLE
        self._next, self._needed = (self._size_to_skip, 4) if is_skippable else (self._descriptor, 1)

    def _size_to_skip(self, held: bytes) -> None:
        self._skip = int.from_bytes(held, "little")
        self._next, self._needed = self._magic, 4

    def _descriptor(self, held: bytes) -> None:
        """Frame_Header_Descriptor: what the rest of the frame's header consists of (3.1.1.1)."""
        flags = held[0]
        is_single_segment = flags >> 5 & 1
        content_size = _CONTENT_SIZES[flags >> 6] or is_single_segment
        self._skip = (1 - is_single_segment) + _DICTIONARY_SIZES[flags & 3] + content_size
        self._checksum = _CHECKSUM if flags >> 2 & 1 else 0
        self._next, self._needed = self._block, 3

    def _block(self, held: bytes) -> None:
        """Block_Header (3.1.1.2): last block, type, size."""
        header = int.from_bytes(held, "little")
        self._skip = 1 if header >> 1 & 3 == _RLE else header >> 3
        if header & 1:
            self._skip += self._checksum
            self._next, self._needed = self._magic, 4
