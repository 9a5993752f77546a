"""ADD of a local archive: its entries are written through the same writer as any file, so none leaves the root."""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import zlib
from lzma import LZMAError

from estiba.builder.step.writing import Owner, RootWriter
from estiba.errors import Corrupt, NotThereYet
from estiba.layers.tar.bounded import BoundedTar

_MAGIC = (
    (0, b"\x1f\x8b\x08"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\x00"),
    (257, b"ustar"),
)
_ZSTD = b"\x28\xb5\x2f\xfd"


def unpack_if_archive(source: int, writer: RootWriter, destination: str, owner: Owner) -> bool:
    """Extract `source` (a descriptor at its start) into `destination` if its content is a tar, compressed or not.

    Told by content as in Docker, never by name. Gives False, having written nothing, where it is no archive.

    Raises:
        Corrupt: it begins as an archive and is none. NotThereYet: it is compressed with zstd.
    """
    head = os.pread(source, 512, 0)
    if head.startswith(_ZSTD):
        raise NotThereYet(
            "ADD cannot extract zstd archives yet",
            remedy="Compress it with gzip or xz, or COPY it and extract in a RUN.",
        )
    if not any(head[at : at + len(magic)] == magic for at, magic in _MAGIC):
        return False
    with os.fdopen(os.dup(source), "rb") as file:
        try:
            archive = BoundedTar.open(fileobj=file, mode="r:*")
        except tarfile.TarError:
            return _not_a_tar(head)
        with archive:
            writer.make_directories(destination)
            try:
                for member in archive:
                    _extract(archive, member, writer, destination, owner)
            except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error, LZMAError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Corrupt(
                    f"the archive for {destination} is damaged: {error or type(error).__name__}",
                    remedy="Make it anew; tar -t lists what can still be read.",
                ) from None
    return True


def _not_a_tar(head: bytes) -> bool:
    """A compressed file that holds no tar is a file like any other."""
    if head[257:262] == b"ustar":
        raise Corrupt("the archive is damaged: its first header is malformed")
    return False


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, writer: RootWriter, destination: str, owner: Owner
) -> None:
    path = _below(destination, member.name)
    ids = owner.of(member.uid, member.gid)
    mode = stat.S_IMODE(member.mode)
    mtime = int(member.mtime) * 1_000_000_000
    if member.isdir():
        writer.directory(path, mode, ids, mtime)
    elif member.issym():
        writer.link(path, member.linkname, ids, mtime)
    elif member.islnk():
        writer.hard_link(path, _below(destination, member.linkname))
    elif member.ischr() or member.isblk() or member.isfifo():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK if member.isblk() else stat.S_IFIFO
        writer.special(path, kind | mode, os.makedev(member.devmajor, member.devminor), ids, mtime)
    elif member.isreg():
        content = archive.extractfile(member)
        if content is None:
            return
        with content:
            writer.stream(path, mode, ids, mtime, content)


def _below(destination: str, name: str) -> str:
    """The path of an entry: no ``..`` in it leads out of the destination."""
    return posixpath.join(destination, posixpath.normpath("/" + name).lstrip("/"))
