"""Where an image is read from: the files of an archive or of a directory, by name. Nothing is extracted.

An archive is a tar, in which files are found by their offsets. One that comes through a pipe, or compressed, is first
written to an unnamed temporary file.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from types import TracebackType

from estiba.errors import Corrupt, InvalidInput, NotFound
from estiba.layers import compression as compressions
from estiba.layers.decompress import VerifiedStream
from estiba.store.scratch import Scratch, translated
from estiba.values import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import BinaryIO, Self

_MOST_MEMBERS = 100_000
_MOST_LINKS = 10
_LARGEST_ARCHIVE = 1 << 40
_PIECE = 1 << 20


class FileMissing(Corrupt):
    def __init__(self, where: str, name: str) -> None:
        super().__init__(f"{where} has no file {name!r}, which it names itself", remedy="It may be cut: save it again.")


class Source(Protocol):
    """Files by name; `where` is what to call the whole in a message."""

    where: str

    def has(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """In bytes. Raises FileMissing."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content, in pieces of at most 1 MiB. Raises FileMissing, Corrupt: it is cut."""


def read(source: Source, name: str, *, limit: int) -> bytes:
    """A whole small file. Raises FileMissing, Corrupt beyond `limit` bytes."""
    if source.size(name) > limit:
        raise Corrupt(f"{source.where}: {name} has {source.size(name)} bytes, more than the limit of {limit}")
    return b"".join(source.pieces(name))


class _Member(NamedTuple):
    """A file of an archive: where its bytes are, or, for a link, the name that it means."""

    offset: int
    size: int
    link: str


class ArchiveSource:
    """The files of a tar in `file`, which can be read at any offset. Closing it closes the file."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.where = where
        self._file = file
        self._members = _index(file, where)

    @classmethod
    def open(cls, stream: BinaryIO, where: str, *, scratch: Scratch) -> ArchiveSource:
        """Over `stream`, which is the archive from its start on; it is closed with the source.

        Raises:
            Corrupt: no tar, a hostile one, or a damaged compression. Unavailable: no space for a copy.
        """
        first = stream.read(6)
        if compressions.detect(first) == compressions.NONE and stream.seekable():
            stream.seek(0)
            return cls(stream, where)
        return cls(_spool(_Joined(first, stream), where, scratch), where)

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def size(self, name: str) -> int:
        return self._member(name).size

    def pieces(self, name: str) -> Iterator[bytes]:
        member = self._member(name)
        offset, end = member.offset, member.offset + member.size
        while offset < end:
            piece = os.pread(self._file.fileno(), min(_PIECE, end - offset), offset)
            if not piece:
                raise Corrupt(f"{self.where} ends within {name}")
            offset += len(piece)
            yield piece

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _member(self, name: str) -> _Member:
        member = self._find(name)
        if member is None:
            raise FileMissing(self.where, name)
        return member

    def _find(self, name: str) -> _Member | None:
        """The file called `name`; links (older archives hold a layer once and link to it) are followed by name."""
        for _ in range(_MOST_LINKS):
            member = self._members.get(_normal(name))
            if member is None or not member.link:
                return member
            name = member.link
        return None


class DirectorySource:
    """The files below a directory, which may have been made by somebody hostile: no link leads out of it."""

    def __init__(self, directory: str) -> None:
        self.where = directory
        try:
            self._root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"{directory}: {error.strerror}") from error

    def has(self, name: str) -> bool:
        try:
            os.close(self._open(name))
        except FileMissing:
            return False
        return True

    def size(self, name: str) -> int:
        descriptor = self._open(name)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def pieces(self, name: str) -> Iterator[bytes]:
        descriptor = self._open(name)
        try:
            while piece := os.read(descriptor, _PIECE):
                yield piece
        finally:
            os.close(descriptor)

    def close(self) -> None:
        os.close(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, name: str) -> int:
        import stat

        from estiba.linux.paths import open_in_root

        try:
            descriptor = open_in_root(self._root, name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise FileMissing(self.where, name) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileMissing(self.where, name)
        return descriptor


class _Joined:
    """A stream whose first bytes have been read already."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        return self._rest.read(size)

    def close(self) -> None:
        self._rest.close()


def _spool(stream: _Joined, where: str, scratch: Scratch) -> BinaryIO:
    """The decompressed stream in a temporary file without a name."""
    descriptor, path = scratch.file("archive")
    os.unlink(path)
    file = os.fdopen(descriptor, "w+b")
    try:
        for piece in VerifiedStream(stream, limit=_LARGEST_ARCHIVE).pieces():
            file.write(piece)
        file.flush()
        file.seek(0)
    except OSError as error:
        file.close()
        raise translated(error, path) from error
    except BaseException:
        file.close()
        raise
    finally:
        stream.close()
    return file


def _index(file: BinaryIO, where: str) -> dict[str, _Member]:
    import tarfile

    from estiba.layers.tar.bounded import BoundedTar

    members: dict[str, _Member] = {}
    end = os.fstat(file.fileno()).st_size
    try:
        with BoundedTar.open(fileobj=file, mode="r:") as tar:
            for count, member in enumerate(tar):
                if count >= _MOST_MEMBERS:
                    raise Corrupt(f"{where} has more than {_MOST_MEMBERS} files")
                if member.size < 0:  # of a global header, which does not lead back
                    raise Corrupt(f"{where} holds a file of {member.size} bytes")
                name = _normal(member.name)
                if member.issym():
                    link = posixpath.join(posixpath.dirname(name), member.linkname)
                    members[name] = _Member(0, 0, _normal(link))
                elif member.islnk():
                    members[name] = _Member(0, 0, _normal(member.linkname))
                elif member.isreg() and not member.issparse():
                    if member.offset_data + member.size > end:
                        raise Corrupt(f"{where} ends within {name}", remedy="It was cut: save it again.")
                    members[name] = _Member(member.offset_data, member.size, "")
    except tarfile.TarError as error:
        if members:
            raise Corrupt(f"{where} is cut or damaged: {error}", remedy="Save it again.") from error
        raise InvalidInput(
            f"{where} is not an archive of images: {error}",
            remedy="Archives are written by `estiba save`, `docker save`, `podman save`, skopeo and buildah.",
        ) from error
    return members


def _normal(name: str) -> str:
    """One form for one place: no ``./`` in front, nothing above the top."""
    return posixpath.normpath("/" + name).lstrip("/")
