"""Digests of files that are not read again while they stay the same.

The key is what the kernel changes whenever content changes: device, inode, size, mtime and ctime. It is only ever a
key of this cache: what a build depends on is the content's digest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable

from estiba.builder.context.tree import Entry, SourceTree
from estiba.errors import Conflict
from estiba.linux.paths import open_in_root
from estiba.store.database import Database

_SCHEMA = (
    """CREATE TABLE file_hashes (
        device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, digest TEXT NOT NULL,
        PRIMARY KEY (device, inode)
    ) WITHOUT ROWID""",
)
_READ = 1 << 20
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
            Conflict: a file changes while it is read.
        """
        files = [entry for entry in entries if entry.is_file]
        digests: dict[str, str] = {}
        unknown: list[Entry] = []
        with self._database.read() as connection:
            for entry in files:
                device, inode, size, mtime, ctime = entry.identity
                row = connection.execute(
                    "SELECT digest FROM file_hashes WHERE device = ? AND inode = ?"
                    " AND size = ? AND mtime = ? AND ctime = ?",
                    (device, inode, size, mtime, ctime),
                ).fetchone()
                if row:
                    digests[entry.source] = row[0]
                else:
                    unknown.append(entry)
        learned = []
        for entry in unknown:
            digests[entry.source] = digest = _digest(tree, entry)
            if time.time_ns() - max(entry.identity[3], entry.identity[4]) > _SETTLED_NS:
                learned.append((*entry.identity, digest))
        if learned:
            with self._database.transaction(durable=False) as connection:
                connection.executemany("INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?, ?, ?, ?)", learned)
        return digests


def _digest(tree: SourceTree, entry: Entry) -> str:
    try:
        descriptor = open_in_root(tree.root_fd, entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Conflict(f"cannot read {entry.source} in {tree.label}: {error.strerror}") from None
    try:
        digest = hashlib.sha256()
        length = 0
        while block := os.read(descriptor, _READ):
            digest.update(block)
            length += len(block)
        if length != entry.size:
            raise Conflict(
                f"{entry.source} changed while it was read: {entry.size} bytes became {length}",
                remedy="Build again when nothing writes to the context.",
            )
        return digest.hexdigest()
    finally:
        os.close(descriptor)
