"""Blobs as files.

DIR/
  blobs/sha256/HEX     a blob, as in an OCI image layout
  blobs/sha512/HEX
  uploads/SESSION      a growing upload
  uploads/SESSION.done one that nobody may append to any more: it is, or soon will be, a second name of its blob
  hidden/ALGORITHM-HEX a blob that gc has taken and not yet destroyed
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from estiba.oci.digest import Digest, InvalidDigest
from estiba.registry.server.storage.base import (
    DigestMismatch,
    StoredBlob,
    StoredUpload,
    UnknownBlob,
    UnknownUpload,
    UploadTakenOver,
)
from estiba.registry.server.storage.sessions import Progress, Sessions

_ALGORITHMS = ("sha256", "sha512")
_DONE = ".done"


class DirectoryStorage:
    """A `Storage` under `directory`, which is made where missing. Several processes may share it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._sessions = Sessions()
        self._blobs = {algorithm: os.path.join(directory, "blobs", algorithm) for algorithm in _ALGORITHMS}
        self._uploads = os.path.join(directory, "uploads")
        self._hidden = os.path.join(directory, "hidden")
        for path in (*self._blobs.values(), self._uploads, self._hidden):
            os.makedirs(path, mode=0o700, exist_ok=True)

    # Uploads

    def create_upload(self, session: str) -> None:
        os.close(os.open(self._upload(session), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def open_upload(self, session: str) -> _FileUpload:
        progress = self._sessions.get(session)
        with progress.lock:
            size = self._size(session)
            progress.holder += 1
            return _FileUpload(self._upload(session), session, progress, progress.holder, size)

    def upload_size(self, session: str) -> int:
        return self._size(session)

    def store(self, session: str, digest: Digest) -> int:
        progress = self._sessions.get(session)
        with progress.lock:
            size = self._size(session)
            progress.holder += 1
            path = self._done(session)
            os.rename(self._upload(session), path)
            actual = self._digest(path, progress, size, digest.algorithm)
            if actual != digest:
                raise DigestMismatch(digest, actual, size)
            _sync(path)
            self._link(path, digest)
        return size

    def restore(self, session: str, digest: Digest) -> None:
        if not self.has(digest):
            self._link(self._done(session), digest)

    def discard_upload(self, session: str) -> None:
        self._sessions.forget(session)
        _remove(self._upload(session))
        _remove(self._done(session))

    def uploads(self) -> Iterator[StoredUpload]:
        with os.scandir(self._uploads) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                yield StoredUpload(entry.name.removesuffix(_DONE), status.st_size, int(status.st_mtime))

    def _digest(self, path: str, progress: Progress, size: int, algorithm: str) -> Digest:
        """The upload's digest: what was hashed while it came, else (another algorithm, a restart) read again."""
        known = progress.sha256_of(size) if algorithm == "sha256" else None
        if known is not None:
            return Digest(algorithm, known)
        with open(path, "rb") as file:
            return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())

    def _size(self, session: str) -> int:
        try:
            return os.stat(self._upload(session)).st_size
        except FileNotFoundError:
            raise UnknownUpload(session) from None

    def _link(self, path: str, digest: Digest) -> None:
        """Give the upload its blob's name. A link, not a rename: until the catalogue knows it, gc may take the name."""
        try:
            os.link(path, self._blob(digest))
        except FileExistsError:
            pass
        _sync(self._blobs[digest.algorithm])

    # Blobs

    def has(self, digest: Digest) -> bool:
        return os.path.exists(self._blob(digest))

    def path(self, digest: Digest) -> str | None:
        return self._blob(digest)

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self._blob(digest), "rb")
        except FileNotFoundError:
            raise UnknownBlob(digest) from None

    def blobs(self) -> Iterator[StoredBlob]:
        for algorithm, directory in self._blobs.items():
            with os.scandir(directory) as entries:
                for entry in entries:
                    digest = _parse(algorithm, entry.name)
                    if digest:
                        yield StoredBlob(digest, entry.stat().st_size)

    def hide(self, digest: Digest) -> None:
        try:
            os.rename(self._blob(digest), self._hidden_blob(digest))
        except FileNotFoundError:
            pass

    def hidden(self) -> Iterator[Digest]:
        for name in os.listdir(self._hidden):
            algorithm, _, value = name.partition("-")
            digest = _parse(algorithm, value)
            if digest:
                yield digest

    def reveal(self, digest: Digest) -> None:
        try:
            os.rename(self._hidden_blob(digest), self._blob(digest))
        except FileNotFoundError:
            return
        _sync(self._blobs[digest.algorithm])

    def destroy(self, digest: Digest) -> None:
        _remove(self._hidden_blob(digest))

    def _blob(self, digest: Digest) -> str:
        return f"{self._blobs[digest.algorithm]}/{digest.hex}"

    def _hidden_blob(self, digest: Digest) -> str:
        return f"{self._hidden}/{digest.algorithm}-{digest.hex}"

    def _upload(self, session: str) -> str:
        return f"{self._uploads}/{session}"

    def _done(self, session: str) -> str:
        return f"{self._uploads}/{session}{_DONE}"


class _FileUpload:
    """An upload's file, opened for each append: a session that rests between requests holds no descriptor."""

    def __init__(self, path: str, session: str, progress: Progress, holder: int, size: int) -> None:
        self._path = path
        self._session = session
        self._progress = progress
        self._holder = holder
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def append(self, data: bytes) -> None:
        with self._progress.lock:
            descriptor = self._open()
            try:
                _write_at(descriptor, data, self._size)
            except OSError:
                os.ftruncate(descriptor, self._size)
                raise
            finally:
                os.close(descriptor)
            self._progress.update(data, offset=self._size)
            self._size += len(data)

    def truncate(self, size: int) -> None:
        with self._progress.lock:
            descriptor = self._open()
            try:
                os.ftruncate(descriptor, size)
            finally:
                os.close(descriptor)
            if size < self._progress.hashed:
                self._progress.restart()
            self._size = size

    def _open(self) -> int:
        if self._progress.holder != self._holder:
            raise UploadTakenOver(self._session)
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UnknownUpload(self._session) from None


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _parse(algorithm: str, value: str) -> Digest | None:
    try:
        return Digest.parse(f"{algorithm}:{value}")
    except InvalidDigest:
        return None
