"""Blobs in memory: the fake for tests, with the same promises."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import TracebackType

from estiba.oci.digest import Digest
from estiba.store.blobs.base import BlobInfo, BlobNotFound, Check, DigestMismatch, TooLarge
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO, Self


class MemoryBlobs:
    """Keeps `BlobStore`."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    def has(self, digest: Digest) -> bool:
        return digest in self._blobs

    def size(self, digest: Digest) -> int:
        return len(self._get(digest))

    def open(self, digest: Digest) -> BinaryIO:
        return io.BytesIO(self._get(digest))

    def read(self, digest: Digest, *, limit: int) -> bytes:
        data = self._get(digest)
        if len(data) > limit:
            raise TooLarge(digest, size=len(data), limit=limit)
        return data

    def writer(self, *, expected: Digest | None = None, size: int | None = None) -> MemoryWriter:
        return MemoryWriter(self._blobs, Check(expected, size))

    def put(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self._blobs[digest] = bytes(data)
        return digest

    def delete(self, digest: Digest) -> int:
        return len(self._blobs.pop(digest, b""))

    def list(self) -> Iterator[Digest]:
        yield from sorted(self._blobs)

    def settle(self) -> None:
        """Nothing here outlives the process."""

    def damage(self, digest: Digest, data: bytes) -> None:
        """Put other bytes under `digest`, as a failing disk would: for tests of readers."""
        self._blobs[digest] = data

    def _get(self, digest: Digest) -> bytes:
        try:
            data = self._blobs[digest]
        except KeyError:
            raise BlobNotFound(digest, "memory") from None
        if digest.algorithm == "sha256" and (actual := Digest.of(data)) != digest:
            raise DigestMismatch(digest, actual, len(data))
        return data


class MemoryWriter:
    """Keeps `BlobWriter`."""

    def __init__(self, blobs: dict[Digest, bytes], check: Check) -> None:
        self._blobs = blobs
        self._check = check
        self._parts: list[bytes] = []

    def write(self, data: bytes | memoryview, /) -> int:
        self._check.take(data)
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def commit(self) -> BlobInfo:
        info = self._check.finish()
        self._blobs[info.digest] = b"".join(self._parts)
        self._parts = []
        return info

    def abort(self) -> None:
        self._parts = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
