"""The build cache: what a step made, under the digest of all that went into it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from estiba.oci import json_text
from estiba.oci.digest import Digest
from estiba.store.database import Database
from estiba.values import NamedTuple

TABLES = (
    """CREATE TABLE cache (
        key TEXT PRIMARY KEY, step TEXT NOT NULL, chain_id TEXT, diff_id TEXT, parts TEXT NOT NULL,
        created INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX cache_by_step ON cache (step, created)",
)

_USED_PRECISION = 60  # seconds: a hit is a write at most this often


class CacheRecord(NamedTuple):
    """One step's result.

    `chain_id` names the snapshot that it made (None: the empty root) and `diff_id` its layer (None: it added none).
    `parts` are the inputs by name, so that a later miss can be explained; `step` names the place in its Dockerfile.
    `created` and `used` are Unix seconds, exact to a minute.
    """

    key: str
    step: str
    chain_id: Digest | None
    diff_id: Digest | None
    parts: dict[str, str]
    created: int
    used: int


class BuildCache:
    """Lives in the database. A record keeps its snapshot from gc until the record itself is dropped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("cache", TABLES)

    def get(self, key: str) -> CacheRecord | None:
        """The record of `key`, marked as used now."""
        record = self.peek(key)
        if record is None:
            return None
        now = int(time.time())
        if now - record.used >= _USED_PRECISION:
            with self._database.transaction(durable=False) as connection:
                connection.execute("UPDATE cache SET used = ? WHERE key = ?", (now, key))
        return record

    def peek(self, key: str) -> CacheRecord | None:
        """The record of `key`, without any mark that it was used."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM cache WHERE key = ?", (key,)).fetchone()
        return _record(row) if row else None

    def put(
        self, key: str, chain_id: Digest | None, diff_id: Digest | None, parts: Mapping[str, str], *, step: str = ""
    ) -> None:
        """Remember a result whose snapshot is committed."""
        now = int(time.time())
        row = (key, step, _text(chain_id), _text(diff_id), json_text.dumps(dict(parts)), now, now)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def last_for(self, step: str) -> CacheRecord | None:
        """The newest record of the same step, whatever its inputs: what a miss is compared with."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT * FROM cache WHERE step = ? ORDER BY created DESC, used DESC LIMIT 1", (step,)
            ).fetchone()
        return _record(row) if row else None

    def list(self) -> list[CacheRecord]:
        """All, the one that was used last first."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM cache ORDER BY used DESC, key").fetchall()
        return [_record(row) for row in rows]

    def remove(self, key: str) -> None:
        """Forget a record; no matter if it is not there."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM cache WHERE key = ?", (key,))

    def clear(self) -> int:
        """Forget all; gives how many."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM cache").rowcount


def _text(digest: Digest | None) -> str | None:
    return str(digest) if digest else None


def _record(row: tuple[str, str, str | None, str | None, str, int, int]) -> CacheRecord:
    key, step, chain_id, diff_id, parts, created, used = row
    return CacheRecord(
        key,
        step,
        Digest.parse(chain_id) if chain_id else None,
        Digest.parse(diff_id) if diff_id else None,
        json_text.loads(parts, what="a record of the cache"),
        created,
        used,
    )
