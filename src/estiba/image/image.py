"""An image as a frozen view: its record, its configuration, its names."""

from __future__ import annotations

from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.reference import Reference
from estiba.store.images import ImageRecord
from estiba.store.references import ReferenceRecord
from estiba.store.store import Store
from estiba.values import NamedTuple


class Image(NamedTuple):
    """`match` is the name by which it was asked for, None where that was an ID; `names` are all that it has."""

    record: ImageRecord
    config: ImageConfig
    names: tuple[ReferenceRecord, ...]
    match: Reference | None = None

    @property
    def id(self) -> Digest:
        return self.record.id

    @property
    def tags(self) -> tuple[str, ...]:
        """The names with a tag, as people write them (Docker's RepoTags)."""
        return tuple(record.name.familiar for record in self.names if record.name.tag)

    @property
    def digests(self) -> tuple[str, ...]:
        """``name@digest`` for each registry repository that has it (Docker's RepoDigests)."""
        found = {f"{record.name.familiar_name}@{record.manifest}" for record in self.names if record.manifest}
        return tuple(sorted(found))


def find(store: Store, text: str) -> Image:
    """The image that a person means by `text`: a name, an ID, or the beginning of one.

    Raises:
        ImageNotFound, AmbiguousImage. BlobNotFound, Corrupt: its configuration is damaged.
    """
    match = store.images.match(text)
    return view(store, match.record)._replace(match=match.name)


def view(store: Store, record: ImageRecord) -> Image:
    """The view of a known image. Raises BlobNotFound, Corrupt."""
    return Image(record, store.images.config(record.id), store.references.names_of(record.id))
