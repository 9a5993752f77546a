"""Removing images: a name goes, the image with its last name, and its content with the last image that needs it.

The rules are Docker's: an ID with names in several repositories, or an image that a container needs, wants `force`.
"""

from __future__ import annotations

from estiba.errors import Conflict
from estiba.oci.digest import Digest
from estiba.store import gc
from estiba.store.images import Match
from estiba.store.references import ReferenceRecord
from estiba.store.store import Store
from estiba.store.uses import IMAGE
from estiba.values import NamedTuple

UNTAGGED = "Untagged"
DELETED = "Deleted"


class Removed(NamedTuple):
    """`what` is UNTAGGED with a name, or DELETED with an image ID or a layer's chain ID."""

    what: str
    target: str


class ImageInUse(Conflict):
    def __init__(self, text: str, holder: str) -> None:
        kind, _, name = holder.partition("/")
        if kind in ("mount", "mount-made"):
            super().__init__(
                f"image {text} is mounted at {name}", remedy=f"Take it away first: estiba image unmount {name}"
            )
            return
        super().__init__(
            f"image {text} is used by {kind} {name[:12]}",
            remedy="Remove the container first, or take only the names away with --force.",
        )


class SeveralRepositories(Conflict):
    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        super().__init__(
            f"image {text} has names in several repositories: {', '.join(names)}",
            remedy="Remove it by each name, or all of them with --force.",
        )


def remove_image(store: Store, text: str, *, force: bool = False) -> tuple[Removed, ...]:
    """Remove the name `text`, or the image with that ID and all its names.

    While another process adds to the store (a lease), the content stays for gc.

    Raises:
        ImageNotFound, AmbiguousImage. ImageInUse, SeveralRepositories: `force` is needed.
    """
    with store.database.transaction():
        match = store.images.match(text)
        names = store.references.names_of(match.record.id)
        mine = _names_to_remove(text, match, names, force=force)
        goes = len(mine) == len(names)
        holders = store.uses.of(IMAGE, match.record.id) if goes else ()
        if holders and not force:
            raise ImageInUse(text, holders[0])
        removed = [Removed(UNTAGGED, name) for name in _spoken(mine)]
        for record in mine:
            store.references.remove(record.name)
        if not goes or holders:
            return tuple(removed)
        content = _content(store, match.record.id)
        store.images.remove(match.record.id)
    removed.append(Removed(DELETED, str(match.record.id)))
    freed = gc.apply(store, gc.plan(gc.gather(store)).only(content))
    removed += [Removed(DELETED, one.target) for one in freed.removals if one.kind == gc.COMMITTED_SNAPSHOT]
    return tuple(removed)


def _names_to_remove(
    text: str, match: Match, names: tuple[ReferenceRecord, ...], *, force: bool
) -> tuple[ReferenceRecord, ...]:
    if match.name is None:
        repositories = {record.name.name for record in names}
        if len(repositories) > 1 and not force:
            raise SeveralRepositories(text, tuple(record.name.familiar for record in names))
        return names
    rest = [record for record in names if record.name != match.name]
    # A digest alone is no name to keep an image for, once its repository's last tag is gone.
    if any(record.name.tag or record.name.name != match.name.name for record in rest):
        return tuple(record for record in names if record.name == match.name)
    return names


def _spoken(records: tuple[ReferenceRecord, ...]) -> list[str]:
    """The names as they are told: each, and the registry's digest of it."""
    spoken = []
    for record in records:
        for text in (record.name.familiar, f"{record.name.familiar_name}@{record.manifest}" if record.manifest else ""):
            if text and text not in spoken:
                spoken.append(text)
    return spoken


def _content(store: Store, image: Digest) -> frozenset[str]:
    content = store.images.content(image)
    blobs = {blob.digest for diff_id in content.diff_ids for blob in store.layer_blobs.get(diff_id)}
    return frozenset(map(str, (image, *content.blobs, *content.chain_ids, *blobs)))
