"""Ranges of user and group ids of the host, each for one container at a time.

A range is a lock (fcntl(2), F_OFD_SETLK) on as many bytes of one file for the whole machine as it has ids, so the
kernel keeps ranges apart, whatever installation they are for, and gives one back when its holder dies. Beside it a mark
says that a range is in use: where it is still there although nobody holds the lock, the holder was killed, and
its container may live on; then the range is taken only if no process has these ids any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from estiba.errors import Unavailable

FILE = "/run/estiba-ids.lock"
SLOT = 65536
DEFAULT_POOL = ((0x70000000, 0x0FFE0000),)
"""Where /etc/subuid names nobody: beyond what useradd gives (600 100 000) and systemd uses (1 879 048 191)."""
OWNERS = ("estiba", "containers")


class Lease:
    """`size` ids from `start` on, until `release` or the end of this process."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self.start = start
        self.size = size

    def release(self) -> None:
        os.pwrite(self._descriptor, b"\0", _mark(self.start))
        os.close(self._descriptor)


def pool() -> tuple[tuple[int, int], ...]:
    """The ranges (start, size) to choose from: those of `estiba`, else `containers`, in /etc/subuid and /etc/subgid."""
    users, groups = _read("/etc/subuid"), _read("/etc/subgid")
    for owner in OWNERS:
        common = []
        for first, count in users.get(owner, ()):
            for other, number in groups.get(owner, ()):
                start, end = max(first, other), min(first + count, other + number)
                if end > start:
                    common.append((start, end - start))
        if common:
            return tuple(common)
    return DEFAULT_POOL


def take(size: int, *, file: str = FILE, ranges: tuple[tuple[int, int], ...] | None = None) -> Lease:
    """The first free range of `size` ids.

    Raises:
        Unavailable: none is left, or the file cannot be used.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable(f"the record of ids {file} cannot be used: {error.strerror}") from error
    try:
        info = os.fstat(descriptor)
        if info.st_uid != os.geteuid() or not stat.S_ISREG(info.st_mode):
            raise Unavailable(f"the record of ids {file} belongs to user {info.st_uid}", remedy="Remove it.")
        step = -(-size // SLOT) * SLOT
        for first, count in pool() if ranges is None else ranges:
            for start in range(first, first + count - size + 1, step):
                if _lock(descriptor, start, size) and not _is_orphaned(descriptor, start, size):
                    os.pwrite(descriptor, b"\1", _mark(start))
                    return Lease(descriptor, start, size)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise Unavailable(
        f"no range of {size} ids is left for a container",
        remedy="Add ids for the user estiba to /etc/subuid and subgid.",
    )


def _lock(descriptor: int, start: int, size: int) -> bool:
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, size, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _is_orphaned(descriptor: int, start: int, size: int) -> bool:
    """Whether a process still lives with ids of the range; then the lock on it is let go."""
    marks = (os.pread(descriptor, 1, _mark(each)) for each in range(start, start + size, SLOT))
    if not any(mark == b"\1" for mark in marks) or not _is_used(start, size):
        return False
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, start, size, 0))
    return True


def _is_used(start: int, size: int) -> bool:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            os.readlink(f"/proc/{name}/exe")  # what has ended and waits for its parent has none
            with open(f"/proc/{name}/uid_map", encoding="ascii") as file:
                rows = [line.split() for line in file]
        except OSError:
            continue
        if any(int(row[1]) < start + size and start < int(row[1]) + int(row[2]) for row in rows if int(row[1])):
            return True
    return False


def _mark(start: int) -> int:
    return start >> 12


def _read(path: str) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, rest = line.strip().partition(":")
                first, _, count = rest.partition(":")
                if first.isdigit() and count.isdigit() and int(first) > 0:
                    found.setdefault(name, []).append((int(first), int(count)))
    except OSError:
        return {}
    return found
