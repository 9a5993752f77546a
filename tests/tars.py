"""Tars made entry by entry with the standard library, so that tests can write what no honest tool writes."""

from __future__ import annotations

import io
import tarfile

Member = tuple[tarfile.TarInfo, bytes]


def tar(*members: Member, format: int = tarfile.PAX_FORMAT, end: bytes = bytes(1024)) -> bytes:
    """The bytes of a tar; `end` are its end-of-archive blocks."""
    parts = []
    for info, data in members:
        parts += [info.tobuf(format, "utf-8", "surrogateescape"), data, bytes(-len(data) % 512)]
    return b"".join((*parts, end))


def file(name: str, data: bytes = b"", **fields: object) -> Member:
    return _member(name, tarfile.REGTYPE, data, **fields)


def directory(name: str, **fields: object) -> Member:
    return _member(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str, **fields: object) -> Member:
    return _member(name, tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str, **fields: object) -> Member:
    return _member(name, tarfile.LNKTYPE, linkname=target, **fields)


def fifo(name: str, **fields: object) -> Member:
    return _member(name, tarfile.FIFOTYPE, **fields)


def device(name: str, major: int, minor: int, **fields: object) -> Member:
    return _member(name, tarfile.CHRTYPE, devmajor=major, devminor=minor, **fields)


def with_pax(member: Member, **records: str) -> Member:
    """The same with pax records; a double underscore stands for a dot."""
    member[0].pax_headers = {key.replace("__", "."): value for key, value in records.items()}
    return member


def opened(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


def _member(name: str, kind: bytes, data: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data
