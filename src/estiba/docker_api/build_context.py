"""A build context that comes as a tar: unpacked into scratch space, its Dockerfile read without leaving it."""

from __future__ import annotations

import os
from typing import BinaryIO

from estiba.errors import InvalidInput, NotFound
from estiba.layers.unpack import unpack
from estiba.linux.paths import open_in_root
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.layers.decompress import Readable
    from estiba.store.scratch import Scratch

_LONGEST = 16 << 20
_HEAD = 6


class BuildContext(NamedTuple):
    """`directory` lies in scratch space until `remove`; `held` keeps others from cleaning it away."""

    directory: str
    held: int
    dockerfile: str
    filename: str
    ignore: str

    def remove(self) -> None:
        remove_tree(self.directory)
        os.close(self.held)


def receive(stream: BinaryIO, scratch: Scratch, *, dockerfile: str) -> BuildContext:
    """Unpack the tar in `stream` (plain, gzip, bzip2, xz or zstd); `dockerfile` is a path in it.

    Raises:
        InvalidInput, Corrupt: no such tar. NotFound: no Dockerfile.
    """
    held, directory = scratch.folder("context")
    try:
        unpack(_decompressed(_Peeked(stream)), directory, whiteouts="ignore")
        root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            text = _read(root, dockerfile)
            if text is None:
                raise NotFound(f"Cannot locate specified Dockerfile: {dockerfile}")
            ignore = _read(root, f"{dockerfile}.dockerignore")
            ignore = _read(root, ".dockerignore") if ignore is None else ignore
        finally:
            os.close(root)
    except BaseException:
        remove_tree(directory)
        os.close(held)
        raise
    return BuildContext(directory, held, text, dockerfile, ignore or "")


def _read(root: int, path: str) -> str | None:
    """A file of the context, whose links lead nowhere else; None where there is none."""
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path} of the build context: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        try:
            data = file.read(_LONGEST + 1)
        except IsADirectoryError:
            raise InvalidInput(f"{path} of the build context is a directory") from None
    if len(data) > _LONGEST:
        raise InvalidInput(f"{path} of the build context is longer than {_LONGEST} bytes")
    return data.decode("utf-8", "surrogateescape")


class _Peeked:
    """A stream whose first bytes can be looked at."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = self._rest = stream.read(_HEAD)

    def read(self, size: int = -1, /) -> bytes:
        if not self._rest:
            return self._stream.read(size)
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        return piece + self._stream.read() if size < 0 else piece


def _decompressed(stream: _Peeked) -> Readable:
    """What `layers` cannot decompress by itself."""
    if stream.head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(stream)  # type: ignore[call-overload, no-any-return]
    if stream.head.startswith(b"\xfd7zXZ"):
        import lzma

        return lzma.LZMAFile(stream)  # type: ignore[arg-type]
    return stream
