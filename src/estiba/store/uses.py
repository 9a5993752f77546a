"""Uses: what a holder (a container, a pinned build) needs of the store, whatever room the holder belongs to."""

from __future__ import annotations

from estiba.store.database import Database
from estiba.values import NamedTuple

TABLES = (
    """CREATE TABLE uses (
        holder TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (holder, kind, target)) WITHOUT ROWID""",
    "CREATE INDEX uses_by_target ON uses (kind, target)",
)

IMAGE = "image"
SNAPSHOT = "snapshot"
BLOB = "blob"


class Use(NamedTuple):
    """`holder` is such as ``container/ID``; `kind` is one of the above; `target` an image ID, the key of an active
    snapshot or the chain ID of a committed one, or a blob's digest, as text.
    """

    holder: str
    kind: str
    target: str


class Uses:
    """Lives in the database. Register a use before the thing is made, and release it after the thing is removed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("uses", TABLES)

    def add(self, holder: str, kind: str, target: object) -> None:
        """Say that `holder` needs `target` from now on; twice is once."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO uses VALUES (?, ?, ?)", (holder, kind, str(target)))

    def release(self, holder: str) -> None:
        """`holder` needs nothing more."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM uses WHERE holder = ?", (holder,))

    def of(self, kind: str, target: object) -> tuple[str, ...]:
        """Who needs `target`."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT holder FROM uses WHERE kind = ? AND target = ? ORDER BY holder", (kind, str(target))
            ).fetchall()
        return tuple(row[0] for row in rows)

    def list(self) -> tuple[Use, ...]:
        with self._database.read() as connection:
            return tuple(Use(*row) for row in connection.execute("SELECT holder, kind, target FROM uses"))
