"""The compressed forms of layers that are known: diff ID → blobs. A layer is compressed once and kept."""

from __future__ import annotations

from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.store.blobs.base import BlobStore
from estiba.store.database import Database

TABLES = (
    """CREATE TABLE layer_blobs (
        diff_id TEXT NOT NULL, blob TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
        PRIMARY KEY (diff_id, blob)) WITHOUT ROWID""",
)


class LayerBlobs:
    """Lives in the database; what it gives is there: a row whose blob has gone is passed over."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        database.migrate("layer_blobs", TABLES)

    def add(self, diff_id: Digest, blob: Descriptor) -> None:
        """Remember that `blob`, which is stored, unpacks to the tar whose digest is `diff_id` (somebody checked it)."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?)",
                (str(diff_id), str(blob.digest), blob.media_type, blob.size),
            )

    def get(self, diff_id: Digest) -> list[Descriptor]:
        """The forms of one layer, the smallest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT media_type, blob, size FROM layer_blobs WHERE diff_id = ? ORDER BY size, blob", (str(diff_id),)
            ).fetchall()
        found = [Descriptor(media_type, Digest.parse(blob), size) for media_type, blob, size in rows]
        return [descriptor for descriptor in found if self._blobs.has(descriptor.digest)]

    def diff_id_of(self, blob: Digest) -> Digest | None:
        """The diff ID of a known blob."""
        with self._database.read() as connection:
            row = connection.execute("SELECT diff_id FROM layer_blobs WHERE blob = ?", (str(blob),)).fetchone()
        return Digest.parse(row[0]) if row else None

    def list(self) -> list[tuple[Digest, Descriptor]]:
        """Every row, whether its blob is there or not."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT diff_id, media_type, blob, size FROM layer_blobs").fetchall()
        return [(Digest.parse(diff), Descriptor(kind, Digest.parse(blob), size)) for diff, kind, blob, size in rows]
