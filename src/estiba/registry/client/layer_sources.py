"""Which repositories are known to hold a blob, so that a push may mount it instead of sending it."""

from __future__ import annotations

from collections.abc import Iterable

from estiba.oci.digest import Digest
from estiba.store.database import Database

TABLES = (
    """CREATE TABLE layer_sources (
        digest TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, used INTEGER NOT NULL,
        PRIMARY KEY (digest, registry, repository)) WITHOUT ROWID""",
)
_MOST = 4


class LayerSources:
    """Lives in the store's database. A hint, no more: what it says is tried, never believed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("layer_sources", TABLES)

    def remember(self, registry: str, repository: str, digests: Iterable[Digest], *, now: int) -> None:
        rows = [(str(digest), registry, repository, now) for digest in digests]
        with self._database.transaction(durable=False) as connection:
            connection.executemany("INSERT OR REPLACE INTO layer_sources VALUES (?, ?, ?, ?)", rows)

    def find(self, registry: str, digest: Digest, *, but: str) -> tuple[str, ...]:
        """Repositories of `registry` other than `but`, the last used first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT repository FROM layer_sources WHERE digest = ? AND registry = ? AND repository <> ?"
                " ORDER BY used DESC, repository LIMIT ?",
                (str(digest), registry, but, _MOST),
            ).fetchall()
        return tuple(row[0] for row in rows)

    def forget(self, registry: str, repository: str, digest: Digest) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "DELETE FROM layer_sources WHERE digest = ? AND registry = ? AND repository = ?",
                (str(digest), registry, repository),
            )
