"""The packages of rpm's database, as far as it is SQLite's or rpm's own "ndb" (rpm documentation, "Package format").

Nothing of it is trusted: it came with an image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from urllib.parse import quote

from estiba.values import NamedTuple

_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_STRING, _INT32 = 6, 4
_WANTED = {_NAME: _STRING, _VERSION: _STRING, _RELEASE: _STRING, _EPOCH: _INT32}
_LARGEST_HEADER = 64 << 20
_MOST_ENTRIES = 100_000
_MOST_PACKAGES = 100_000
_STEPS, _MOST_TURNS = 100_000, 2_000  # of SQLite's machine between two turns of ours, and how many there may be

_NDB_PAGE = 4096
_NDB_SLOT = 16
_NDB_BLOCK = 16


class RpmPackage(NamedTuple):
    """`version` is ``[EPOCH:]VERSION-RELEASE``."""

    name: str
    version: str


def of_sqlite(path: str) -> Iterator[RpmPackage]:
    """From ``rpmdb.sqlite`` at `path` on this machine; what is damaged gives nothing."""
    import sqlite3

    turns = 0

    def turn() -> int:
        nonlocal turns
        turns += 1
        return turns > _MOST_TURNS  # a view may be made to run for ever

    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)
    try:
        connection.set_progress_handler(turn, _STEPS)
        connection.execute("PRAGMA trusted_schema = OFF")
        kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone()
        if kind != ("table",):
            return
        for (blob,) in connection.execute("SELECT blob FROM Packages LIMIT ?", (_MOST_PACKAGES,)):
            if isinstance(blob, bytes) and (package := parse_header(blob)):
                yield package
    except sqlite3.Error:
        return
    finally:
        connection.close()


def of_ndb(data: bytes) -> Iterator[RpmPackage]:
    """From the content of ``Packages.db``: a table of slots, each of which names the blocks of one header."""
    if len(data) < _NDB_PAGE or data[:4] != b"RpmP":
        return
    pages = struct.unpack_from("<I", data, 12)[0]
    for offset in range(2 * _NDB_SLOT, min(pages * _NDB_PAGE, len(data)) - _NDB_SLOT + 1, _NDB_SLOT):
        magic, number, block, count = struct.unpack_from("<4sIII", data, offset)
        start = block * _NDB_BLOCK
        if magic != b"Slot" or not number or not count or start + _NDB_BLOCK > len(data):
            continue
        blob_magic, _, _, length = struct.unpack_from("<4sIII", data, start)
        if blob_magic == b"BlbS" and length <= len(data) - start - _NDB_BLOCK:
            begin = start + _NDB_BLOCK
            if package := parse_header(data[begin : begin + length]):
                yield package


def parse_header(blob: bytes) -> RpmPackage | None:
    """A header as the databases keep it: how many entries, how many bytes, the entries, the bytes; None: it is none."""
    if len(blob) < 8 or len(blob) > _LARGEST_HEADER:
        return None
    entries, size = struct.unpack_from(">II", blob)
    begin = 8 + 16 * entries
    if entries > _MOST_ENTRIES or begin + size > len(blob):
        return None
    store = blob[begin : begin + size]
    found: dict[int, str] = {}
    for position in range(entries):
        tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, 8 + 16 * position)
        if _WANTED.get(tag) == kind and 0 <= offset < size:
            found[tag] = _value(store, kind, offset)
    if not found.get(_NAME) or found[_NAME] == "gpg-pubkey":
        return None
    version = "-".join(found[tag] for tag in (_VERSION, _RELEASE) if found.get(tag))
    return RpmPackage(found[_NAME], f"{found[_EPOCH]}:{version}" if found.get(_EPOCH) else version)


def _value(store: bytes, kind: int, offset: int) -> str:
    if kind == _INT32:
        return str(struct.unpack_from(">I", store, offset)[0]) if offset + 4 <= len(store) else ""
    return store[offset:].split(b"\0", 1)[0].decode("utf-8", "replace")
