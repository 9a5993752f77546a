"""The records of snapshots in state.db, and their directories' life: a row exists exactly while its directory counts.

A directory is made within the transaction that inserts its row, and a number whose directory exists is never taken;
so a directory without a row, seen from within a transaction, belongs to nobody for good. Removal drops the row first.

A commit that was not synced is believed only until the next boot (`boot` holds the boot's ID until then).
"""

from __future__ import annotations

import os
import time

from estiba.oci.digest import Digest
from estiba.store.database import Database
from estiba.store.paths import StorePaths
from estiba.store.snapshots.base import (
    ACTIVE,
    COMMITTED,
    NoSuchSnapshot,
    SnapshotExists,
    SnapshotInUse,
    SnapshotRecord,
)
from estiba.store.snapshots.trees import remove_tree, sync_filesystem
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = (
    """CREATE TABLE snapshots (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT UNIQUE,
        chain_id TEXT UNIQUE,
        parent TEXT,
        diff_id TEXT,
        size INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL,
        used INTEGER NOT NULL,
        boot TEXT
    )""",
    "CREATE INDEX snapshots_by_parent ON snapshots (parent)",
    "CREATE TABLE snapshotter (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_COLUMNS = "number, key, chain_id, parent, diff_id, size, created, used"
_IS_BELIEVED = "(chain_id IS NULL OR boot IS NULL OR boot = ?)"


class SnapshotRecords:
    """The table, and under it the directories ``snapshots/N``."""

    def __init__(self, database: Database, paths: StorePaths) -> None:
        database.migrate("snapshots", _SCHEMA)
        self._database = database
        self._paths = paths
        self._boot = boot_id()

    def directory(self, number: int) -> str:
        return self._paths.snapshot(number)

    def insert(self, key: str, parent: Digest | None) -> SnapshotRecord:
        """Record an active snapshot and make its empty directory."""
        now = int(time.time())
        with self._database.transaction(durable=False) as connection:
            if parent is not None:
                self._find(connection, parent)
                connection.execute("UPDATE snapshots SET used = ? WHERE chain_id = ?", (now, str(parent)))
            if connection.execute("SELECT 1 FROM snapshots WHERE key = ?", (key,)).fetchone():
                raise SnapshotExists(key)
            number = self._make_directory(connection)
            connection.execute(
                "INSERT INTO snapshots (number, key, parent, created, used) VALUES (?, ?, ?, ?, ?)",
                (number, key, str(parent) if parent else None, now, now),
            )
        return SnapshotRecord(number, ACTIVE, key, None, parent, None, 0, now, now)

    def commit(self, key: str, *, chain_id: Digest, diff_id: Digest, size: int, sync: bool) -> bool:
        """Turn the row of `key` into that of `chain_id`; False where that one exists (the row and tree of `key` go)."""
        record = self.get(key)
        synced = self._sync_files() if sync else ()
        boot = None if sync else self._boot
        with self._database.transaction(durable=sync) as connection:
            self._believe(connection, synced)
            self._find(connection, key)
            old = connection.execute(
                f"SELECT number FROM snapshots WHERE chain_id = ? AND {_IS_BELIEVED}", (str(chain_id), self._boot)
            ).fetchone()
            if old is None:
                # One of an earlier boot that is not believed gives way; its directory becomes a stray.
                connection.execute("DELETE FROM snapshots WHERE chain_id = ?", (str(chain_id),))
                connection.execute(
                    "UPDATE snapshots SET key = NULL, chain_id = ?, diff_id = ?, size = ?, boot = ? WHERE key = ?",
                    (str(chain_id), str(diff_id), size, boot, key),
                )
            else:
                connection.execute("DELETE FROM snapshots WHERE key = ?", (key,))
        if old is not None:
            remove_tree(self.directory(record.number))
        return old is None

    def sync(self) -> None:
        """Sync the files of all commits so far, then believe them for good."""
        synced = self._sync_files(unless_none=True)
        if synced:
            with self._database.transaction() as connection:
                self._believe(connection, synced)

    def rebase(self, key: str, parent: Digest) -> None:
        """Give the active snapshot `key` another parent."""
        with self._database.transaction(durable=False) as connection:
            self._find(connection, key)
            self._find(connection, parent)
            connection.execute("UPDATE snapshots SET parent = ? WHERE key = ?", (str(parent), key))

    def forget(self, name: str | Digest) -> SnapshotRecord | None:
        """Drop the row; gives what it said, None where there was none."""
        with self._database.transaction(durable=False) as connection:
            try:
                record = self._find(connection, name)
            except NoSuchSnapshot:
                return None
            if isinstance(name, Digest):
                user = connection.execute(
                    "SELECT COALESCE(chain_id, key) FROM snapshots WHERE parent = ?", (str(name),)
                ).fetchone()
                if user:
                    raise SnapshotInUse(name, user=user[0])
            connection.execute("DELETE FROM snapshots WHERE number = ?", (record.number,))
        return record

    def delete(self, name: str | Digest) -> None:
        """Drop the row, then the tree."""
        record = self.forget(name)
        if record is not None:
            remove_tree(self.directory(record.number))

    def get(self, name: str | Digest) -> SnapshotRecord:
        with self._database.read() as connection:
            return self._find(connection, name)

    def chain(self, chain_id: Digest) -> tuple[SnapshotRecord, ...]:
        """The record of `chain_id` and of all below it, the nearest first."""
        found: list[SnapshotRecord] = []
        with self._database.read() as connection:
            name: Digest | None = chain_id
            while name is not None:
                found.append(self._find(connection, name))
                name = found[-1].parent
        return tuple(found)

    def list(self) -> tuple[SnapshotRecord, ...]:
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM snapshots WHERE {_IS_BELIEVED} ORDER BY number", (self._boot,)
            ).fetchall()
        return tuple(_record(row) for row in rows)

    def doubtful(self) -> tuple[Digest, ...]:
        """The chain IDs of rows that are not believed, in the order in which they were made."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT chain_id FROM snapshots WHERE NOT {_IS_BELIEVED} ORDER BY number", (self._boot,)
            ).fetchall()
        return tuple(Digest.parse(row[0]) for row in rows)

    def discard_doubtful(self) -> None:
        """Remove the directories of the rows that are not believed; a number is never given twice."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT number FROM snapshots WHERE NOT {_IS_BELIEVED}", (self._boot,)
            ).fetchall()
        for (number,) in rows:
            remove_tree(self.directory(number))

    def give_up(self, chain_ids: tuple[Digest, ...]) -> None:
        """Drop these rows where they are still not believed; their directories become strays."""
        with self._database.transaction(durable=False) as connection:
            connection.executemany(
                f"DELETE FROM snapshots WHERE chain_id = ? AND NOT {_IS_BELIEVED}",
                [(str(chain_id), self._boot) for chain_id in chain_ids],
            )

    def strays(self) -> tuple[str, ...]:
        """Directories without a row."""
        with self._database.transaction(durable=False) as connection:
            known = {str(row[0]) for row in connection.execute("SELECT number FROM snapshots")}
            found = os.listdir(self._paths.snapshots)
        return tuple(f"{self._paths.snapshots}/{name}" for name in sorted(found) if name not in known)

    def setting(self, name: str) -> str | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM snapshotter WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_setting(self, name: str, value: str) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute("INSERT OR REPLACE INTO snapshotter VALUES (?, ?)", (name, value))

    def _find(self, connection: sqlite3.Connection, name: str | Digest) -> SnapshotRecord:
        column = "chain_id" if isinstance(name, Digest) else "key"
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM snapshots WHERE {column} = ? AND {_IS_BELIEVED}", (str(name), self._boot)
        ).fetchone()
        if row is None:
            raise NoSuchSnapshot(name)
        return _record(row)

    def _sync_files(self, *, unless_none: bool = False) -> tuple[int, ...]:
        """Sync the filesystem; gives the numbers of the commits which that made safe."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT number FROM snapshots WHERE chain_id IS NOT NULL AND boot = ?", (self._boot,)
            )
            numbers = tuple(int(row[0]) for row in rows)
        if numbers or not unless_none:
            sync_filesystem(self._paths.snapshots)
        return numbers

    @staticmethod
    def _believe(connection: sqlite3.Connection, numbers: tuple[int, ...]) -> None:
        connection.executemany("UPDATE snapshots SET boot = NULL WHERE number = ?", [(n,) for n in numbers])

    def _make_directory(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'").fetchone()
        number = (row[0] if row else 0) + 1
        while True:
            try:
                os.mkdir(self.directory(number), 0o700)
            except FileExistsError:
                number += 1
            else:
                return int(number)


def boot_id() -> str:
    """The kernel's identity of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _record(row: tuple[int, str | None, str | None, str | None, str | None, int, int, int]) -> SnapshotRecord:
    number, key, chain_id, parent, diff_id, size, created, used = row
    return SnapshotRecord(
        number,
        ACTIVE if chain_id is None else COMMITTED,
        key,
        Digest.parse(chain_id) if chain_id else None,
        Digest.parse(parent) if parent else None,
        Digest.parse(diff_id) if diff_id else None,
        size,
        created,
        used,
    )
