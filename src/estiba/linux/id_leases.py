"""Ranges of user and group ids of the host, each for one container at a time.

A range is a lock (fcntl(2), F_OFD_SETLK) on as many bytes of one file for the whole machine as it has ids, so the
kernel keeps ranges apart, whatever installation they are for, and gives one back when its holder dies. Beside it a mark
says that a range is in use: where it is still there although nobody holds the lock, the holder was killed, and
its container may live on; then the range is taken only if no process has these ids any more. Another container that
joins the ids of one that lives has a share: a read lock far behind the range, which lasts when the first one ends.
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
_SHARES = 1 << 40  # where the file's bytes for shares begin


class Lease:
    """`size` ids from `start` on, until `release` or the end of this process."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self.start = start
        self.size = size

    def release(self) -> None:
        if _is_free(self._descriptor, self.start, self.size) and _is_free(
            self._descriptor, _SHARES + self.start, self.size
        ):
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
    descriptor = _open(file)
    try:
        step = -(-size // SLOT) * SLOT
        for first, count in pool() if ranges is None else ranges:
            for start in range(first, first + count - size + 1, step):
                if _lock(descriptor, fcntl.F_WRLCK, start, size) and not _is_orphaned(descriptor, start, size):
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


def share(start: int, size: int, *, file: str = FILE) -> Lease:
    """A part in a range that is taken, so that nobody else gets it while either lives.

    The caller makes sure afterwards that whoever has taken it is still there.

    Raises:
        Unavailable: the file cannot be used.
    """
    descriptor = _open(file)
    try:
        if not _lock(descriptor, fcntl.F_RDLCK, _SHARES + start, size):
            raise Unavailable(f"the ids from {start} on cannot be shared just now", remedy="Try again.")
    except BaseException:
        os.close(descriptor)
        raise
    return Lease(descriptor, start, size)


def _open(file: str) -> int:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable(f"the record of ids {file} cannot be used: {error.strerror}") from error
    info = os.fstat(descriptor)
    if info.st_uid != os.geteuid() or not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise Unavailable(f"the record of ids {file} belongs to user {info.st_uid}", remedy="Remove it.")
    return descriptor


def _lock(descriptor: int, kind: int, start: int, size: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(kind, start, size))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _is_free(descriptor: int, start: int, size: int) -> bool:
    """Whether nobody else has locked a byte of these."""
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, start, size))
    kind: int = struct.unpack_from("h", answer)[0]
    return kind == fcntl.F_UNLCK


def _request(kind: int, start: int, size: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, size, 0)


def _is_orphaned(descriptor: int, start: int, size: int) -> bool:
    """Whether somebody shares the range, or a process still lives with ids of it; then the lock on it is let go."""
    marks = (os.pread(descriptor, 1, _mark(each)) for each in range(start, start + size, SLOT))
    is_marked = any(mark == b"\1" for mark in marks) and _is_used(start, size)
    if not is_marked and _is_free(descriptor, _SHARES + start, size):
        return False
    _lock(descriptor, fcntl.F_UNLCK, start, size)
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
