"""Digests of files that are not read again while they stay the same.

The key is what the kernel changes whenever content changes: device, inode, size, mtime and ctime. It is only ever a
key of this cache: what a build depends on is the content's digest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable

from estiba.builder.context.tree import Entry, SourceTree, identity_of
from estiba.errors import Conflict
from estiba.store.database import Database

_SCHEMA = (
    """CREATE TABLE file_hashes (
        device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, digest TEXT NOT NULL,
        PRIMARY KEY (device, inode)
    ) WITHOUT ROWID""",
)
_Key = tuple[int, int, int, int, int]

_READ = 1 << 20
_AT_ONCE = 900  # SQLite's limit of parameters in one statement was 999 for long
_SETTLED_NS = 50_000_000
"""A file changed less than this before it was read may change again within the same tick of the kernel's clock."""


class FileHashes:
    """Digests by identity, kept in the store's database."""

    def __init__(self, database: Database) -> None:
        database.migrate("file_hashes", _SCHEMA)
        self._database = database

    def of(self, tree: SourceTree, entries: Iterable[Entry]) -> dict[str, str]:
        """The hex sha256 of every regular file among `entries`, by its `source`; reads only what is not known.

        Raises:
            Conflict: a file changes while it is read. PermissionDenied: this user may not read one.
        """
        digests: dict[str, str] = {}
        unknown: list[Entry] = []
        files = [(entry, _key(entry)) for entry in entries if entry.is_file]
        known = self._known(key for _, key in files)
        for entry, key in files:
            found = known.get(key)
            if found is not None:
                digests[entry.source] = found
            else:
                unknown.append(entry)
        learned = []
        for entry in unknown:
            began = time.time_ns()
            digests[entry.source] = digest = _digest(tree, entry)
            if began - max(entry.identity[3], entry.identity[4]) > _SETTLED_NS:
                learned.append((*_key(entry), digest))
        if learned:
            with self._database.transaction(durable=False) as connection:
                connection.executemany("INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?, ?, ?, ?)", learned)
        return digests

    def _known(self, keys: Iterable[_Key]) -> dict[_Key, str]:
        """The digests that are remembered for files of these devices and inodes, by the whole key."""
        by_device: dict[int, list[int]] = {}
        for device, inode, *_ in keys:
            by_device.setdefault(device, []).append(inode)
        found: dict[_Key, str] = {}
        with self._database.read() as connection:
            for device, inodes in by_device.items():
                for at in range(0, len(inodes), _AT_ONCE):
                    some = inodes[at : at + _AT_ONCE]
                    rows = connection.execute(
                        "SELECT device, inode, size, mtime, ctime, digest FROM file_hashes"
                        f" WHERE device = ? AND inode IN ({','.join('?' * len(some))})",
                        (device, *some),
                    )
                    found.update((row[:5], row[5]) for row in rows)
        return found


def _key(entry: Entry) -> _Key:
    """The identity in numbers that the database takes (64 bits, signed)."""
    device, inode, size, mtime, ctime = entry.identity
    return _signed(device), _signed(inode), size, _signed(mtime), _signed(ctime)


def _signed(number: int) -> int:
    return ((number + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def _digest(tree: SourceTree, entry: Entry) -> str:
    descriptor = tree.open_file(entry)
    try:
        digest = hashlib.sha256()
        block_size = min(entry.size + 1, _READ)
        while block := os.read(descriptor, block_size):
            digest.update(block)
        if identity_of(os.fstat(descriptor)) != entry.identity:
            raise Conflict(
                f"{entry.source} in {tree.label} changed while it was read",
                remedy="Build again when nothing writes to the context.",
            )
        return digest.hexdigest()
    finally:
        os.close(descriptor)
