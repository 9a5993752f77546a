"""What the host's kernel tells: which files are opened below a directory, by whomever and in whatever root, and which
mounts there are."""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile

_IN_OPEN = 0x20
_IN_ISDIR = 0x40000000


class OpenedFiles:
    """The files below `directory` that have been opened since the context was entered; directories do not count."""

    def __init__(self, directory: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for place, _, _ in os.walk(directory):
            if libc.inotify_add_watch(self._descriptor, os.fsencode(place), _IN_OPEN) < 0:
                raise OSError(ctypes.get_errno(), f"watch {place}")

    def __enter__(self) -> OpenedFiles:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def names(self) -> set[str]:
        """The names of what was opened since the last question."""
        found = set()
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                if not mask & _IN_ISDIR:
                    found.add(os.fsdecode(data[16 : 16 + length].rstrip(b"\0")))
                data = data[16 + length :]


def mounts_of_the_host(own: str) -> list[str]:
    """The host's mounts, without those that other tests have at the moment in temporary directories of their own."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return [line for line in lines if own in line or not line.split()[4].startswith(tempfile.gettempdir() + "/")]
