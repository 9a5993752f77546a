"""Uploads that were begun and not ended, so that a push after a kill goes on with them."""

from __future__ import annotations

from estiba.oci.digest import Digest
from estiba.store.database import Database

TABLES = (
    """CREATE TABLE pending_uploads (
        registry TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL, location TEXT NOT NULL,
        begun INTEGER NOT NULL, PRIMARY KEY (registry, repository, digest)) WITHOUT ROWID""",
)
_LIFE = 7 * 24 * 3600
"""Seconds; registries forget an upload after about so long."""


class PendingUploads:
    """Lives in the store's database. A hint, no more: the registry says how far an upload has come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("pending_uploads", TABLES)

    def find(self, registry: str, repository: str, digest: Digest) -> str:
        """The address of the upload, "" where none is known."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT location FROM pending_uploads WHERE registry = ? AND repository = ? AND digest = ?",
                (registry, repository, str(digest)),
            ).fetchone()
        return str(row[0]) if row else ""

    def remember(self, registry: str, repository: str, digest: Digest, location: str, *, now: int) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute("DELETE FROM pending_uploads WHERE begun < ?", (now - _LIFE,))
            connection.execute(
                "INSERT OR REPLACE INTO pending_uploads VALUES (?, ?, ?, ?, ?)",
                (registry, repository, str(digest), location, now),
            )

    def forget(self, registry: str, repository: str, digest: Digest) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "DELETE FROM pending_uploads WHERE registry = ? AND repository = ? AND digest = ?",
                (registry, repository, str(digest)),
            )
