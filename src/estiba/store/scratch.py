"""Scratch space under ROOT/tmp: what is being written, and who still writes it.

Each file or directory is locked (flock) by its writer for as long as it works. The kernel lets go of the lock when the
writer dies, so a thing that nobody has locked belongs to nobody.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from estiba.errors import EstibaError, PermissionDenied, Unavailable


class Abandoned(NamedTuple):
    """Something in the scratch space whose writer is gone. `size` in bytes on disk."""

    path: str
    size: int


class Scratch:
    """The scratch space in directory `directory`, on the same filesystem as the rest of the store."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def file(self, purpose: str) -> tuple[int, str]:
        """A new file, locked: its descriptor, open for reading and writing, and its path.

        Raises:
            Unavailable: no space. PermissionDenied.
        """
        path = self._name(purpose)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise translated(error, path) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor, path

    def folder(self, purpose: str) -> tuple[int, str]:
        """A new directory, locked for as long as the descriptor is open; the caller removes it.

        Raises:
            Unavailable: no space. PermissionDenied.
        """
        path = self._name(purpose)
        try:
            os.mkdir(path, 0o700)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise translated(error, path) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor, path

    def abandoned(self, *, grace: float = 0) -> Iterator[Abandoned]:
        """What nobody has locked and what is older than `grace` seconds."""
        for entry in sorted(os.scandir(self.directory), key=lambda entry: entry.name):
            try:
                if time.time() - entry.stat(follow_symlinks=False).st_ctime < grace or self._is_locked(entry.path):
                    continue
                yield Abandoned(entry.path, size_on_disk(entry.path))
            except FileNotFoundError:
                continue  # its writer has just finished

    def _name(self, purpose: str) -> str:
        return f"{self.directory}/{purpose}.{os.getpid()}.{os.urandom(6).hex()}"

    @staticmethod
    def _is_locked(path: str) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link or a socket: nothing of ours
                return False
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def size_on_disk(path: str) -> int:
    """The bytes that `path` takes with all below it, as du(1) counts; a file with several links counts once."""
    seen: set[tuple[int, int]] = set()

    def measure(path: str) -> int:
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) in seen:
            return 0
        seen.add((status.st_dev, status.st_ino))
        total = status.st_blocks * 512
        if (status.st_mode & 0o170000) == 0o040000:
            with os.scandir(path) as entries:
                total += sum(measure(entry.path) for entry in entries)
        return total

    try:
        return measure(path)
    except FileNotFoundError:
        return 0


def translated(error: OSError, path: str) -> EstibaError:
    """What the operating system said of `path`, as one of ours."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        directory = os.path.dirname(path)
        return Unavailable(
            f"no space is left on the disk of {directory}",
            remedy="Free some: `estiba gc` removes what nothing needs, `estiba df` shows what takes how much.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(
            f"{path}: {error.strerror}", remedy="Run as the user who owns the store, or choose another with --root."
        )
    return Unavailable(f"{path}: {error.strerror}")
