"""Blobs that have come in part: kept under ROOT/tmp by their digest, for whoever goes on where it stopped.

    ROOT/tmp/partial.sha256.HEX

The file is locked (flock) while somebody fetches, and so it is also what makes two processes fetch a blob once. Nothing
in it is believed: only `verify`, or whoever else has read the file to its end and found the digest right, allows
`commit`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from estiba.linux.writeback import Writeback
from estiba.oci.digest import Digest, InvalidDigest
from estiba.store.blobs.base import BlobInfo, Check, SizeMismatch
from estiba.store.blobs.directory import DirectoryBlobs
from estiba.store.scratch import sync_directory, translated
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

PREFIX = "partial."
_PIECE = 1 << 20


class PartialRecord(NamedTuple):
    """A partial blob that nobody is fetching. `age` in seconds since its last byte came, `size` in bytes on disk."""

    path: str
    digest: Digest
    size: int
    age: float


class Partials:
    """The partial blobs of one store. `directory` lies on the same filesystem as `blobs`."""

    def __init__(self, directory: str, blobs: DirectoryBlobs) -> None:
        self._directory = directory
        self._blobs = blobs

    def path(self, digest: Digest) -> str:
        return f"{self._directory}/{PREFIX}{digest.algorithm}.{digest.hex}"

    def take(self, digest: Digest, *, size: int) -> Partial | None:
        """What there is of the blob `digest` of `size` bytes, locked; an empty one where there is nothing.

        None: another process has it, or the blob has just arrived; look, and ask again.

        Raises:
            Unavailable: no space. PermissionDenied.
        """
        path = self.path(digest)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise translated(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_current = os.stat(path).st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            is_current = False
        if not is_current:
            os.close(descriptor)
            return None
        partial = Partial(self._blobs, path, descriptor, digest, size)
        if self._blobs.has(digest):
            partial.discard()
            return None
        return partial

    def received(self, digest: Digest) -> int:
        """How many bytes of the blob are here, whoever is fetching it."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return 0

    def is_one(self, path: str) -> bool:
        """Whether `path`, below the directory, is a partial blob's by its name."""
        return path.startswith(f"{self._directory}/{PREFIX}")

    def list(self) -> Iterator[PartialRecord]:
        """Those that nobody is fetching now."""
        for name in sorted(os.listdir(self._directory)):
            if name.startswith(PREFIX) and (record := self._look(name)):
                yield record

    def _look(self, name: str) -> PartialRecord | None:
        path = f"{self._directory}/{name}"
        algorithm, _, digits = name.removeprefix(PREFIX).partition(".")
        try:
            digest = Digest.parse(f"{algorithm}:{digits}")
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (InvalidDigest, OSError):
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
        except BlockingIOError:
            return None
        finally:
            os.close(descriptor)
        return PartialRecord(path, digest, status.st_blocks * 512, max(time.time() - status.st_mtime, 0))


class Partial:
    """One blob on its way. As a context manager it lets go at the end and keeps what has come.

    `received` bytes are here, of which `resumed` were before.
    """

    def __init__(self, blobs: DirectoryBlobs, path: str, descriptor: int, digest: Digest, size: int) -> None:
        self.digest = digest
        self.size = size
        self.descriptor = descriptor
        self._blobs = blobs
        self._path = path
        self.received = os.fstat(descriptor).st_size
        if self.received > size:
            os.ftruncate(descriptor, 0)
            self.received = 0
        self.resumed = self.received
        os.lseek(descriptor, self.received, os.SEEK_SET)
        self._writeback = Writeback(descriptor)

    @property
    def is_whole(self) -> bool:
        return self.received == self.size

    def write(self, parts: Sequence[bytes]) -> None:
        """Add bytes at the end.

        Raises:
            SizeMismatch: there are more than were promised; nothing of these is kept. Unavailable: no space; then what
            had come goes too, as it is in the way of everybody.
        """
        length = sum(len(part) for part in parts)
        if self.received + length > self.size:
            actual = self.received + length
            raise SizeMismatch(f"blob {self.digest}", expected=self.size, actual=actual, more=True)
        try:
            done = os.writev(self.descriptor, parts)
            if done < length:
                self._write_rest(b"".join(parts)[done:])
        except OSError as error:
            self.discard()
            raise translated(error, self._path) from error
        self.received += length
        self._writeback.wrote(length)

    def _write_rest(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def verify(self) -> None:
        """Read what is here from its start. Raises DigestMismatch, SizeMismatch; then nothing is kept."""
        check = Check(self.digest, self.size)
        offset = 0
        try:
            while data := os.pread(self.descriptor, _PIECE, offset):
                check.take(data)
                offset += len(data)
            check.finish()
        except BaseException:
            self.discard()
            raise

    def sync(self) -> None:
        """Bring the bytes to the disk ahead of `commit`, which is quick then."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise translated(error, self._path) from error

    def commit(self) -> BlobInfo:
        """Make it a blob; whoever calls this has verified it. Raises Unavailable: no space."""
        final = self._blobs.path(self.digest)
        folder = os.path.dirname(final)
        try:
            os.fchmod(self.descriptor, 0o444)
            os.fsync(self.descriptor)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.rename(self._path, final)
            self._path = ""
            sync_directory(folder)
        except OSError as error:
            raise translated(error, final) from error
        self.close()
        return BlobInfo(self.digest, self.size)

    def discard(self) -> None:
        """Forget what has come."""
        if self._path:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            self._path = ""
        self.close()

    def close(self) -> None:
        """Let go; another may go on from here."""
        if self.descriptor == -1:
            return
        if self._path and not self.received:
            self._path, path = "", self._path
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        os.close(self.descriptor)
        self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
