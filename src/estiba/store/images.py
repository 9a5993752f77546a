"""Images: the records of what is here, and finding one by what a person typed."""

from __future__ import annotations

from estiba.errors import Conflict, NotFound
from estiba.oci import image_config, manifest
from estiba.oci.chain_id import chain_ids
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import Index, Manifest, parse_manifest
from estiba.oci.reference import InvalidReference, Reference
from estiba.store.blobs.base import BlobStore
from estiba.store.database import Database
from estiba.store.references import References
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

TABLES = (
    """CREATE TABLE images (
        id TEXT PRIMARY KEY, manifest TEXT, created INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID""",
    # What an image needs, so that gc parses nothing.
    """CREATE TABLE image_layers (
        image TEXT NOT NULL, position INTEGER NOT NULL, diff_id TEXT NOT NULL, chain_id TEXT NOT NULL,
        PRIMARY KEY (image, position)) WITHOUT ROWID""",
    "CREATE TABLE image_blobs (image TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (image, blob)) WITHOUT ROWID",
)

_HEX = frozenset("0123456789abcdef")


class ImageNotFound(NotFound):
    def __init__(self, text: str) -> None:
        super().__init__(
            f"no such image: {text}",
            remedy="`estiba images` lists what is here; `pull`, `build`, `load` and `bootstrap` bring images in.",
        )


class AmbiguousImage(Conflict):
    def __init__(self, text: str, ids: list[Digest]) -> None:
        found = ", ".join(image.short for image in ids[:5])
        super().__init__(f"{text!r} is the beginning of {len(ids)} image IDs: {found}", remedy="Give more digits.")


class ImageRecord(NamedTuple):
    """One image. `id` is the digest of its configuration, a blob; `manifest` that of its manifest, None until needed.

    `created` is in Unix seconds as the configuration has it; `size` the bytes of all its layers, unpacked.
    """

    id: Digest
    manifest: Digest | None
    created: int
    size: int


class ImageContent(NamedTuple):
    """What an image needs besides its configuration: layers, lowest first, and blobs (manifest, compressed layers)."""

    diff_ids: tuple[Digest, ...]
    chain_ids: tuple[Digest, ...]
    blobs: tuple[Digest, ...]


class Match(NamedTuple):
    """What a text means: an image, and the name that the text is, None where it was an ID."""

    record: ImageRecord
    name: Reference | None


class Images:
    """Lives in the database; configurations and manifests lie among the blobs."""

    def __init__(self, database: Database, blobs: BlobStore, references: References) -> None:
        self._database = database
        self._blobs = blobs
        self._references = references
        database.migrate("images", TABLES)

    def add(self, record: ImageRecord) -> None:
        """Add an image, or replace its record. Its configuration and manifest are stored already.

        Raises:
            BlobNotFound: they are not. Corrupt: they are none, or the manifest is of another image.
        """
        config = ImageConfig.parse(self._blobs.read(record.id, limit=image_config.MAXIMUM_SIZE))
        key = str(record.id)
        layers = [
            (key, position, str(diff_id), str(chain))
            for position, (diff_id, chain) in enumerate(zip(config.diff_ids, chain_ids(config.diff_ids), strict=True))
        ]
        blobs = [(key, str(blob)) for blob in self._blobs_of(record)]
        self._blobs.settle()
        with self._database.transaction() as connection:
            self._forget(connection, key)
            connection.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?)",
                (key, str(record.manifest) if record.manifest else None, record.created, record.size),
            )
            connection.executemany("INSERT INTO image_layers VALUES (?, ?, ?, ?)", layers)
            connection.executemany("INSERT INTO image_blobs VALUES (?, ?)", blobs)

    def get(self, image_id: Digest) -> ImageRecord | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT id, manifest, created, size FROM images WHERE id = ?", (str(image_id),)
            ).fetchone()
        return _record(row) if row else None

    def config(self, image_id: Digest) -> ImageConfig:
        """The configuration of an image. Raises BlobNotFound, Corrupt."""
        return ImageConfig.parse(self._blobs.read(image_id, limit=image_config.MAXIMUM_SIZE))

    def content(self, image_id: Digest) -> ImageContent:
        """What the image needs, from the database alone."""
        with self._database.read() as connection:
            layers = connection.execute(
                "SELECT diff_id, chain_id FROM image_layers WHERE image = ? ORDER BY position", (str(image_id),)
            ).fetchall()
            blobs = connection.execute("SELECT blob FROM image_blobs WHERE image = ?", (str(image_id),)).fetchall()
        return ImageContent(
            tuple(Digest.parse(diff_id) for diff_id, _ in layers),
            tuple(Digest.parse(chain) for _, chain in layers),
            tuple(Digest.parse(row[0]) for row in blobs),
        )

    def contents(self) -> dict[Digest, ImageContent]:
        """`content` of every image, in two queries."""
        with self._database.read() as connection:
            images = [Digest.parse(row[0]) for row in connection.execute("SELECT id FROM images")]
            layers = connection.execute(
                "SELECT image, diff_id, chain_id FROM image_layers ORDER BY image, position"
            ).fetchall()
            blobs = connection.execute("SELECT image, blob FROM image_blobs").fetchall()
        diff_ids: dict[str, list[Digest]] = {}
        chains: dict[str, list[Digest]] = {}
        needed: dict[str, list[Digest]] = {}
        for image, diff_id, chain in layers:
            diff_ids.setdefault(image, []).append(Digest.parse(diff_id))
            chains.setdefault(image, []).append(Digest.parse(chain))
        for image, blob in blobs:
            needed.setdefault(image, []).append(Digest.parse(blob))
        return {
            image: ImageContent(
                tuple(diff_ids.get(str(image), ())),
                tuple(chains.get(str(image), ())),
                tuple(needed.get(str(image), ())),
            )
            for image in images
        }

    def remove(self, image_id: Digest) -> bool:
        """Forget the record, not its content (gc finds that); False when it was not there."""
        with self._database.transaction() as connection:
            return self._forget(connection, str(image_id))

    def find(self, text: str) -> ImageRecord:
        """The image that a person means: a name (``busybox`` is ``docker.io/library/busybox:latest``), an ID, or the
        beginning of one. A name wins over the beginning of an ID, as in Docker.

        Raises:
            ImageNotFound, AmbiguousImage.
        """
        return self.match(text).record

    def match(self, text: str) -> Match:
        """The same, with the name if the text was one."""
        known = self._by_name(text)
        if known:
            return known
        prefix = text.removeprefix("sha256:")
        ids = self._with_prefix(prefix) if 0 < len(prefix) <= 64 and _HEX.issuperset(prefix) else []
        if len(ids) > 1:
            raise AmbiguousImage(text, ids)
        record = self.get(ids[0]) if ids else None
        if record is None:
            raise ImageNotFound(text)
        return Match(record, None)

    def _by_name(self, text: str) -> Match | None:
        try:
            name = Reference.parse(text)
        except InvalidReference:
            return None
        found = self._references.get(name)
        record = self.get(found.target) if found else None
        return Match(record, found.name) if found and record else None

    def _with_prefix(self, digits: str) -> list[Digest]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id FROM images WHERE id >= ? AND id < ? ORDER BY id", (f"sha256:{digits}", f"sha256:{digits}g")
            ).fetchall()
        return [Digest.parse(row[0]) for row in rows]

    def _blobs_of(self, record: ImageRecord) -> set[Digest]:
        if record.manifest is None:
            return set()
        document = parse_manifest(self._blobs.read(record.manifest, limit=manifest.MAXIMUM_SIZE))
        if isinstance(document, Index) or document.config.digest != record.id:
            raise WrongManifest(record, document)
        return {record.manifest, *(layer.digest for layer in document.layers)}

    def list(self) -> list[ImageRecord]:
        """All, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, manifest, created, size FROM images ORDER BY created DESC, id"
            ).fetchall()
        return [_record(row) for row in rows]

    @staticmethod
    def _forget(connection: sqlite3.Connection, key: str) -> bool:
        connection.execute("DELETE FROM image_layers WHERE image = ?", (key,))
        connection.execute("DELETE FROM image_blobs WHERE image = ?", (key,))
        return connection.execute("DELETE FROM images WHERE id = ?", (key,)).rowcount > 0


class WrongManifest(Conflict):
    def __init__(self, record: ImageRecord, document: Manifest | Index) -> None:
        kind = "an index" if isinstance(document, Index) else f"of image {document.config.digest}"
        super().__init__(f"manifest {record.manifest} is {kind}, not of image {record.id}")


def _record(row: tuple[str, str | None, int, int]) -> ImageRecord:
    image, manifest_digest, created, size = row
    return ImageRecord(Digest.parse(image), Digest.parse(manifest_digest) if manifest_digest else None, created, size)
