"""The storage protocol. Every call may block and is made from a worker thread, unless said otherwise.

The promises that the catalogue builds on:

* a blob is there under its digest as a whole or not at all, and is durable when `store` returns;
* the same blob stored by two at once is there once;
* a blob that gc takes is first hidden (it can be brought back) and destroyed only when the catalogue has forgotten it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from estiba.errors import Conflict, Corrupt, NotFound
from estiba.oci.digest import Digest


class StoredBlob(NamedTuple):
    digest: Digest
    size: int


class StoredUpload(NamedTuple):
    """`touched` is when the upload grew last, in Unix seconds."""

    session: str
    size: int
    touched: int


class UnknownUpload(NotFound):
    def __init__(self, session: str) -> None:
        super().__init__(f"no upload {session}")
        self.session = session


class UnknownBlob(NotFound):
    def __init__(self, digest: Digest) -> None:
        super().__init__(f"no blob {digest}")
        self.digest = digest


class DigestMismatch(Corrupt):
    def __init__(self, expected: Digest, actual: Digest, size: int) -> None:
        super().__init__(f"expected {expected}, got {actual} after {size} bytes")
        self.expected = expected
        self.actual = actual


class UploadTakenOver(Conflict):
    """Another request writes to the same upload now; this one must stop."""

    def __init__(self, session: str) -> None:
        super().__init__(f"another request goes on with the upload {session}")


class Upload(Protocol):
    """The right to append to an upload. The one who opened it last holds it; an older holder gets `UploadTakenOver`."""

    @property
    def size(self) -> int:
        """The bytes received so far."""

    def append(self, data: bytes) -> None:
        """Append and hash.

        Raises:
            UploadTakenOver: a later request has opened it. OSError: the disk is full, and the like.
        """

    def truncate(self, size: int) -> None:
        """Go back to `size` bytes: what came after it is not wanted."""


class Storage(Protocol):
    def create_upload(self, session: str) -> None:
        """Begin an empty upload."""

    def open_upload(self, session: str) -> Upload:
        """Take the upload over.

        Raises:
            UnknownUpload.
        """

    def upload_size(self, session: str) -> int:
        """Raises: UnknownUpload."""

    def store(self, session: str, digest: Digest) -> int:
        """Verify the upload and keep it as a blob; gives its size.

        Nobody can append to the upload or ask for it any more, but its bytes stay for `restore` until `discard_upload`.

        Raises:
            UnknownUpload. DigestMismatch: nothing was kept.
        """

    def restore(self, session: str, digest: Digest) -> None:
        """Put the blob in its place again if gc has taken it away since `store`. Quick where it is there."""

    def discard_upload(self, session: str) -> None:
        """Remove an upload; one that is not there is fine."""

    def uploads(self) -> Iterator[StoredUpload]: ...

    def has(self, digest: Digest) -> bool: ...

    def path(self, digest: Digest) -> str | None:
        """The blob's file, for sendfile; None where the storage has no files."""

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob for reading.

        Raises:
            UnknownBlob.
        """

    def blobs(self) -> Iterator[StoredBlob]: ...

    def hide(self, digest: Digest) -> None:
        """Take a blob out of sight, so that it can be brought back. Made while the catalogue is locked."""

    def hidden(self) -> Iterator[Digest]: ...

    def reveal(self, digest: Digest) -> None:
        """Undo `hide`."""

    def destroy(self, digest: Digest) -> None:
        """Remove a hidden blob for good; one that is not there is fine."""
