"""Standard output and error on one stream: frames of [stream, 0, 0, 0, length (4 bytes, big end first)] and bytes.

Docker Engine API, "Attach to a container", stream format. Pure.
"""

from __future__ import annotations

import struct

STDOUT, STDERR = 1, 2
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

_HEADER = struct.Struct("!BxxxI")
NUMBERS = {"stdout": STDOUT, "stderr": STDERR}


def frame(stream: int, data: bytes) -> bytes:
    """`data` as one frame."""
    return _HEADER.pack(stream, len(data)) + data


def content_type(*, tty: bool, version: tuple[int, int]) -> str:
    """How a stream is announced; before 1.42 all were called raw."""
    return RAW if tty or version < (1, 42) else MULTIPLEXED
