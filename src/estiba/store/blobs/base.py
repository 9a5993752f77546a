"""What a blob store promises, its errors, and the check that every writer makes."""

from __future__ import annotations

from estiba.errors import Corrupt, NotFound
from estiba.oci.digest import Digest, new_hash
from estiba.values import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO, Self


class BlobInfo(NamedTuple):
    """What was stored: its digest and its size in bytes."""

    digest: Digest
    size: int


class BlobNotFound(NotFound):
    def __init__(self, digest: Digest, where: str) -> None:
        super().__init__(f"blob {digest} is not in {where}", remedy="Pull or load the image again.")


class DigestMismatch(Corrupt):
    """The bytes are others than those which were promised."""

    def __init__(self, expected: Digest, actual: Digest, size: int) -> None:
        super().__init__(f"expected {expected}, got {actual} after {size} bytes")


class SizeMismatch(Corrupt):
    """There are more or fewer bytes than were promised."""

    def __init__(self, what: str, *, expected: int, actual: int, more: bool = False) -> None:
        super().__init__(f"{what}: expected {expected} bytes, got {'at least ' if more else ''}{actual}")


class TooLarge(Corrupt):
    """A document is larger than any that is read into memory."""

    def __init__(self, digest: Digest, *, size: int, limit: int) -> None:
        super().__init__(f"blob {digest} has {size} bytes, more than the limit of {limit}")


class BlobWriter(Protocol):
    """One blob being written. As a context manager it aborts at the end unless it was committed."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Add bytes; gives how many. Raises SizeMismatch as soon as there are more than were promised."""

    def commit(self) -> BlobInfo:
        """Make the blob visible, durably, after its digest and size were checked.

        Raises:
            DigestMismatch, SizeMismatch: nothing is kept. Unavailable: no space; nothing is kept.
        """

    def abort(self) -> None:
        """Forget what was written; after a commit it does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """Blobs by digest. A blob is there whole or not at all, whoever is killed when; equal blobs are one."""

    def has(self, digest: Digest) -> bool: ...

    def size(self, digest: Digest) -> int:
        """In bytes. Raises BlobNotFound."""

    def open(self, digest: Digest) -> BinaryIO:
        """For reading from its start; the digest is not checked again. Raises BlobNotFound."""

    def read(self, digest: Digest, *, limit: int) -> bytes:
        """The whole blob, its digest checked again. Raises BlobNotFound, TooLarge beyond `limit`, DigestMismatch."""

    def writer(self, *, expected: Digest | None = None, size: int | None = None) -> BlobWriter:
        """Begin a blob; `expected` and `size` are checked where they are given."""

    def put(self, data: bytes) -> Digest:
        """Store `data` whole; gives its sha256 digest."""

    def delete(self, digest: Digest) -> int:
        """Remove it; gives the bytes that were freed, 0 when it was not there."""

    def list(self) -> Iterator[Digest]:
        """All of them, in the order of their digests."""

    def settle(self) -> None:
        """Make durable what is there: a blob that somebody else put there may be so new that its name is not yet.

        Whoever writes a row that names blobs which he has found calls this before. Raises Unavailable.
        """


class Check:
    """The digest and the size of what passes, against what was promised."""

    __slots__ = ("_expected", "_hash", "_promised", "size")

    def __init__(self, expected: Digest | None, size: int | None) -> None:
        self._expected = expected
        self._promised = size
        self._hash = new_hash(expected.algorithm if expected else "sha256", size)
        self.size = 0

    def take(self, data: bytes | memoryview) -> None:
        """Count `data` in. Raises SizeMismatch."""
        self._hash.update(data)
        self.size += len(data) if isinstance(data, bytes) else data.nbytes
        if self._promised is not None and self.size > self._promised:
            raise SizeMismatch(self._what, expected=self._promised, actual=self.size, more=True)

    def finish(self) -> BlobInfo:
        """The digest and size of all. Raises SizeMismatch, DigestMismatch."""
        if self._promised is not None and self.size != self._promised:
            raise SizeMismatch(self._what, expected=self._promised, actual=self.size)
        actual = Digest(self._hash.name, self._hash.hexdigest())
        if self._expected is not None and actual != self._expected:
            raise DigestMismatch(self._expected, actual, self.size)
        return BlobInfo(actual, self.size)

    @property
    def _what(self) -> str:
        return f"blob {self._expected}" if self._expected else "blob"
