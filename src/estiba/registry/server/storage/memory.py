"""Blobs in memory: the fake of the tests, and a registry that forgets."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

from estiba.oci.digest import Digest
from estiba.registry.server.storage.base import (
    DigestMismatch,
    StoredBlob,
    StoredUpload,
    UnknownBlob,
    UnknownUpload,
    UploadTakenOver,
)


class _Buffer:
    def __init__(self) -> None:
        self.data = bytearray()
        self.touched = int(time.time())
        self.holder = 0
        self.is_stored = False


class MemoryStorage:
    """A `Storage` that lives as long as its process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._blobs: dict[Digest, bytes] = {}
        self._hidden: dict[Digest, bytes] = {}
        self._uploads: dict[str, _Buffer] = {}

    def create_upload(self, session: str) -> None:
        with self._lock:
            self._uploads[session] = _Buffer()

    def open_upload(self, session: str) -> _MemoryUpload:
        with self._lock:
            buffer = self._buffer(session)
            buffer.holder += 1
            return _MemoryUpload(session, buffer, self._lock)

    def upload_size(self, session: str) -> int:
        with self._lock:
            return len(self._buffer(session).data)

    def store(self, session: str, digest: Digest) -> int:
        with self._lock:
            buffer = self._buffer(session)
            buffer.holder += 1
            buffer.is_stored = True
            data = bytes(buffer.data)
            actual = Digest(digest.algorithm, hashlib.new(digest.algorithm, data).hexdigest())
            if actual != digest:
                raise DigestMismatch(digest, actual, len(data))
            self._blobs.setdefault(digest, data)
            return len(data)

    def restore(self, session: str, digest: Digest) -> None:
        with self._lock:
            if digest not in self._blobs:
                self._blobs[digest] = bytes(self._uploads[session].data)

    def discard_upload(self, session: str) -> None:
        with self._lock:
            buffer = self._uploads.pop(session, None)
            if buffer:
                buffer.holder += 1

    def uploads(self) -> Iterator[StoredUpload]:
        with self._lock:
            found = [StoredUpload(name, len(buffer.data), buffer.touched) for name, buffer in self._uploads.items()]
        return iter(found)

    def has(self, digest: Digest) -> bool:
        return digest in self._blobs

    def path(self, digest: Digest) -> str | None:
        return None

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return io.BytesIO(self._blobs[digest])
        except KeyError:
            raise UnknownBlob(digest) from None

    def blobs(self) -> Iterator[StoredBlob]:
        with self._lock:
            found = [StoredBlob(digest, len(data)) for digest, data in self._blobs.items()]
        return iter(found)

    def hide(self, digest: Digest) -> None:
        with self._lock:
            if digest in self._blobs:
                self._hidden[digest] = self._blobs.pop(digest)

    def hidden(self) -> Iterator[Digest]:
        with self._lock:
            return iter(list(self._hidden))

    def reveal(self, digest: Digest) -> None:
        with self._lock:
            if digest in self._hidden:
                self._blobs[digest] = self._hidden.pop(digest)

    def destroy(self, digest: Digest) -> None:
        with self._lock:
            self._hidden.pop(digest, None)

    def _buffer(self, session: str) -> _Buffer:
        buffer = self._uploads.get(session)
        if buffer is None or buffer.is_stored:
            raise UnknownUpload(session)
        return buffer


class _MemoryUpload:
    def __init__(self, session: str, buffer: _Buffer, lock: threading.RLock) -> None:
        self._session = session
        self._buffer = buffer
        self._holder = buffer.holder
        self._lock = lock

    @property
    def size(self) -> int:
        return len(self._buffer.data)

    def append(self, data: bytes) -> None:
        with self._lock:
            self._check()
            self._buffer.data += data
            self._buffer.touched = int(time.time())

    def truncate(self, size: int) -> None:
        with self._lock:
            self._check()
            del self._buffer.data[size:]

    def _check(self) -> None:
        if self._buffer.holder != self._holder:
            raise UploadTakenOver(self._session)
