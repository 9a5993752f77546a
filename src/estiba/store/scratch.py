"""Scratch space under ROOT/tmp: what is being written, and who still writes it.

Each file or directory is locked (flock) by its writer for as long as it works. The kernel lets go of the lock when the
writer dies, so a thing that nobody has locked belongs to nobody.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from estiba.errors import EstibaError, PermissionDenied, Unavailable
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


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
        return self._new(purpose, lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def folder(self, purpose: str) -> tuple[int, str]:
        """A new directory, locked for as long as the descriptor is open; the caller removes it.

        Raises:
            Unavailable: no space. PermissionDenied.
        """

        def make(path: str) -> int:
            os.mkdir(path, 0o700)
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

        return self._new(purpose, make)

    def publish(self, data: bytes, path: str) -> None:
        """Let the file `path`, below the same root, hold `data`: all of it or, after a crash, what was there before.

        Raises:
            OSError, Unavailable, PermissionDenied.
        """
        descriptor, temporary = self.file("file")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        sync_directory(os.path.dirname(path))

    def abandoned(self, *, grace: float = 0) -> Iterator[Abandoned]:
        """What nobody has locked and what is older than `grace` seconds."""
        for path in self._abandoned(grace):
            yield Abandoned(path, size_on_disk(path))

    def remove_abandoned(self, paths: Collection[str], *, grace: float = 0) -> tuple[str, ...]:
        """Remove those of `paths` that are abandoned still; gives them.

        Raises:
            OSError: one cannot be removed.
        """
        dead: dict[str, str] = {}
        directory = self._locked_directory(fcntl.LOCK_EX)
        try:
            for path in self._abandoned(grace):
                if path in paths:
                    dead[path] = self._name("dead")
                    os.rename(path, dead[path])
        finally:
            os.close(directory)
        for path in dead.values():
            remove_any(path)
        return tuple(dead)

    def _new(self, purpose: str, make: Callable[[str], int]) -> tuple[int, str]:
        path = self._name(purpose)
        try:
            # Between its making and its locking a thing looks abandoned; nobody removes any meanwhile.
            directory = self._locked_directory(fcntl.LOCK_SH)
            try:
                descriptor = make(path)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            finally:
                os.close(directory)
        except OSError as error:
            raise translated(error, path) from error
        return descriptor, path

    def _abandoned(self, grace: float) -> Iterator[str]:
        with os.scandir(self.directory) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            try:
                if time.time() - entry.stat(follow_symlinks=False).st_ctime >= grace and not self._is_locked(
                    entry.path
                ):
                    yield entry.path
            except FileNotFoundError:
                continue  # its writer has just finished

    def _locked_directory(self, how: int) -> int:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, how)
        return descriptor

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


def sync_directory(path: str) -> None:
    """Make the names in directory `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_on_disk(path: str) -> int:
    """The bytes that `path` takes with all below it, as du(1) counts; a file with several links counts once."""
    from estiba.store.snapshots.trees import measure

    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    size = status.st_blocks * 512
    return size + measure(path).size if os.path.isdir(path) and not os.path.islink(path) else size


def remove_any(path: str) -> None:
    """Remove the file, or the directory with all in it; what is not there is fine.

    Raises:
        OSError: something cannot be removed.
    """
    from estiba.store.snapshots.trees import remove_tree

    try:
        if os.path.isdir(path) and not os.path.islink(path):
            remove_tree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass


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
