"""Records of builds: what was built, what each step was and why. The newest are kept, a fixed number of them."""

from __future__ import annotations

from estiba.errors import Conflict, NotFound
from estiba.oci import json_text
from estiba.store.database import Database
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

TABLES = (
    """CREATE TABLE builds (
        id TEXT PRIMARY KEY, place TEXT NOT NULL, number INTEGER NOT NULL UNIQUE, record TEXT NOT NULL)
        WITHOUT ROWID""",
    "CREATE INDEX builds_by_place ON builds (place, number)",
)

KEPT = 200
"""How many records there are at most."""


class NoSuchBuild(NotFound):
    def __init__(self, text: str) -> None:
        super().__init__(
            f"there is no record of a build {text}", remedy="`estiba build ls` lists those that there are."
        )


class StoredBuild(NamedTuple):
    """One record: `place` is the path of its Dockerfile, `record` what the room `builder` keeps of it, as JSON."""

    id: str
    place: str
    record: dict[str, Any]


class Builds:
    """Lives in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("builds", TABLES)

    def put(self, build: StoredBuild) -> None:
        """Keep a record, and of the older ones as many as there may be. A power cut may lose it."""
        text = json_text.dumps(build.record)
        with self._database.transaction(durable=False) as connection:
            last = connection.execute("SELECT max(number) FROM builds").fetchone()[0] or 0
            connection.execute(
                "INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?)", (build.id, build.place, last + 1, text)
            )
            connection.execute("DELETE FROM builds WHERE number <= ?", (last + 1 - KEPT,))

    def last_of(self, place: str, count: int) -> list[StoredBuild]:
        """The newest records of one Dockerfile, the newest first."""
        return self._select("WHERE place = ? ORDER BY number DESC LIMIT ?", (place, count))

    def all(self) -> list[StoredBuild]:
        """All, the newest first."""
        return self._select("ORDER BY number DESC", ())

    def get(self, text: str) -> StoredBuild:
        """The record whose ID is, or begins with, `text`.

        Raises:
            NoSuchBuild. Conflict: several begin so.
        """
        pattern = f"{text}*" if text.isalnum() else ""
        found = self._select("WHERE id GLOB ? ORDER BY number DESC", (pattern,))
        exact = [build for build in found if build.id == text]
        if len(found) > 1 and not exact:
            names = ", ".join(build.id for build in found[:3])
            raise Conflict(f"several builds begin with {text}: {names}", remedy="Give more of its ID.")
        if not found:
            raise NoSuchBuild(text)
        return (exact or found)[0]

    def _select(self, clause: str, values: tuple[str | int, ...]) -> list[StoredBuild]:
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT id, place, record FROM builds {clause}", values).fetchall()
        return [StoredBuild(row[0], row[1], json_text.loads(row[2], what="the record of a build")) for row in rows]
