"""Blobs in a directory, laid out as in an OCI image layout: ``DIRECTORY/sha256/HEX`` (image-spec, image-layout.md)."""

from __future__ import annotations

import os

from estiba.linux.writeback import Writeback
from estiba.oci.digest import Digest, InvalidDigest
from estiba.store.blobs.base import BlobInfo, BlobNotFound, Check, TooLarge
from estiba.store.scratch import Scratch, sync_directory, translated
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

ALGORITHMS = ("sha256", "sha512")


class DirectoryBlobs:
    """Keeps `BlobStore`; `path` is the one thing more. `scratch` lies on the same filesystem as `directory`."""

    def __init__(self, directory: str, scratch: Scratch) -> None:
        self.directory = directory
        self._scratch = scratch

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be. Nobody writes there; hard links and reflinks from there are fine."""
        return f"{self.directory}/{digest.algorithm}/{digest.hex}"

    def has(self, digest: Digest) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise BlobNotFound(digest, self.directory) from None

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise BlobNotFound(digest, self.directory) from None
        except OSError as error:
            raise translated(error, self.path(digest)) from error

    def read(self, digest: Digest, *, limit: int) -> bytes:
        with self.open(digest) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise TooLarge(digest, size=size, limit=limit)
            data = file.read()
        check = Check(digest, len(data))
        check.take(data)
        check.finish()
        return data

    def verify(self, digest: Digest) -> int:
        """Read the whole blob and check its digest; gives its size. Raises BlobNotFound, DigestMismatch."""
        check = Check(digest, None)
        with self.open(digest) as file:
            while data := file.read(1 << 20):
                check.take(data)
        return check.finish().size

    def writer(self, *, expected: Digest | None = None, size: int | None = None) -> DirectoryWriter:
        return DirectoryWriter(self, self._scratch, expected, size)

    def put(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        if not self.has(digest):
            with self.writer(expected=digest, size=len(data)) as writer:
                writer.write(data)
                writer.commit()
        return digest

    def delete(self, digest: Digest) -> int:
        path = self.path(digest)
        try:
            size = os.stat(path).st_size
            os.unlink(path)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise translated(error, path) from error
        return size

    def list(self) -> Iterator[Digest]:
        for algorithm in ALGORITHMS:
            try:
                names = sorted(os.listdir(f"{self.directory}/{algorithm}"))
            except FileNotFoundError:
                continue
            for name in names:
                try:
                    yield Digest.parse(f"{algorithm}:{name}")
                except InvalidDigest:
                    continue  # `strangers` tells of these

    def settle(self) -> None:
        for algorithm in ALGORITHMS:
            folder = f"{self.directory}/{algorithm}"
            try:
                sync_directory(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise translated(error, folder) from error

    def strangers(self) -> Iterator[str]:
        """Paths in the directory that are no blob: nothing of ours, left alone."""
        for algorithm in sorted(os.listdir(self.directory)):
            folder = f"{self.directory}/{algorithm}"
            if algorithm not in ALGORITHMS or not os.path.isdir(folder):
                yield folder
                continue
            for name in sorted(os.listdir(folder)):
                try:
                    Digest.parse(f"{algorithm}:{name}")
                except InvalidDigest:
                    yield f"{folder}/{name}"


class DirectoryWriter:
    """Keeps `BlobWriter`: temporary file → fsync → rename → fsync of the directory."""

    def __init__(self, blobs: DirectoryBlobs, scratch: Scratch, expected: Digest | None, size: int | None) -> None:
        self._blobs = blobs
        self._check = Check(expected, size)
        self._descriptor, self._path = scratch.file("blob")
        self._writeback = Writeback(self._descriptor)

    def write(self, data: bytes | memoryview, /) -> int:
        self._check.take(data)
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += os.write(self._descriptor, view[done:])
        except OSError as error:
            raise translated(error, self._path) from error
        self._writeback.wrote(done)
        return done

    def commit(self) -> BlobInfo:
        try:
            info = self._check.finish()
            self._publish(info)
        except OSError as error:
            raise translated(error, self._path) from error
        finally:
            self.abort()
        return info

    def _publish(self, info: BlobInfo) -> None:
        final = self._blobs.path(info.digest)
        if self._is_there(final, info.size):
            return
        os.fchmod(self._descriptor, 0o444)
        os.fsync(self._descriptor)
        folder = os.path.dirname(final)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        os.rename(self._path, final)
        self._path = ""
        sync_directory(folder)

    @staticmethod
    def _is_there(path: str, size: int) -> bool:
        try:
            return os.stat(path).st_size == size
        except FileNotFoundError:
            return False

    def abort(self) -> None:
        if self._path:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            self._path = ""
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
