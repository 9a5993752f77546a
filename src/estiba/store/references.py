"""References: which image a name means, on this machine."""

from __future__ import annotations

from estiba.errors import NotFound
from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.store.database import Database
from estiba.values import NamedTuple

TABLES = (
    "CREATE TABLE refs (name TEXT PRIMARY KEY, image TEXT NOT NULL, manifest TEXT) WITHOUT ROWID",
    "CREATE INDEX refs_by_image ON refs (image)",
)


class UnknownName(NotFound):
    def __init__(self, name: Reference) -> None:
        super().__init__(f"no such image: {name.familiar}", remedy="See `estiba images` for the names that there are.")


class ReferenceRecord(NamedTuple):
    """`name` has a tag or else a digest; `target` is the image ID.

    `manifest` is the digest under which a registry has this image (of its index, where there is one); None for an
    image that no registry has seen.
    """

    name: Reference
    target: Digest
    manifest: Digest | None = None


class References:
    """Lives in the database. A name means one image at a time; an image may have many names."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("references", TABLES)

    def set(self, name: Reference, target: Digest, *, manifest: Digest | None = None) -> Digest | None:
        """Let `name` mean the image `target` from now on; gives the image that it meant before, None if none.

        A name without tag and digest is ``:latest``; one with both is kept as its tag with the digest as `manifest`.
        The image must have been added before (a blob before the row that names it).
        """
        key, manifest = _key(name, manifest)
        with self._database.transaction() as connection:
            before = connection.execute("SELECT image FROM refs WHERE name = ?", (key,)).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", (key, str(target), str(manifest) if manifest else None)
            )
        return Digest.parse(before[0]) if before else None

    def get(self, name: Reference) -> ReferenceRecord | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT name, image, manifest FROM refs WHERE name = ?", (_key(name)[0],)
            ).fetchone()
            if row is None and name.digest is not None:
                row = connection.execute(
                    "SELECT name, image, manifest FROM refs WHERE manifest = ? AND name LIKE ? ESCAPE '!'",
                    (str(name.digest), name.name.replace("_", "!_") + ":%"),
                ).fetchone()
        return _record(row) if row else None

    def remove(self, name: Reference) -> Digest:
        """Forget `name`; gives the image that it meant. Raises UnknownName."""
        key = _key(name)[0]
        with self._database.transaction() as connection:
            row = connection.execute("DELETE FROM refs WHERE name = ? RETURNING image", (key,)).fetchone()
        if row is None:
            raise UnknownName(name.tagged)
        return Digest.parse(row[0])

    def list(self) -> list[ReferenceRecord]:
        """All names, in their order."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT name, image, manifest FROM refs ORDER BY name").fetchall()
        return [_record(row) for row in rows]

    def names_of(self, image: Digest) -> tuple[ReferenceRecord, ...]:
        """The names of one image, in their order."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT name, image, manifest FROM refs WHERE image = ? ORDER BY name", (str(image),)
            ).fetchall()
        return tuple(_record(row) for row in rows)


def _key(name: Reference, manifest: Digest | None = None) -> tuple[str, Digest | None]:
    if name.tag and name.digest:
        return str(name._replace(digest=None)), manifest or name.digest
    if name.digest:
        return str(name), manifest or name.digest
    return str(name.tagged), manifest


def _record(row: tuple[str, str, str | None]) -> ReferenceRecord:
    name, image, manifest = row
    return ReferenceRecord(Reference.parse(name), Digest.parse(image), Digest.parse(manifest) if manifest else None)
