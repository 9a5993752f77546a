"""Repair of a store: what is damaged is dropped and fetched again from where the image came from, or was pushed to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from estiba.errors import EstibaError
from estiba.image.restore import unpack_image
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.progress import Progress, Silence
from estiba.registry.client.pull import fetch_image
from estiba.registry.client.routes import DIRECT, Routes
from estiba.store.fsck import Damage
from estiba.store.store import Store
from estiba.values import NamedTuple


class Repaired(NamedTuple):
    """What became of one image: `how` it was repaired, or, with `is_whole` False, why it was not."""

    image: Digest
    how: str
    is_whole: bool = True


def repair(
    store: Store,
    damage: Damage,
    *,
    credentials: CredentialSource,
    platform: Platform,
    progress: Progress | None = None,
    routes: Routes = DIRECT,
) -> tuple[Repaired, ...]:
    """Make the images of `damage` whole again, each by itself.

    A layer whose tree is gone is unpacked again from its blob; a blob that is missing or damaged is fetched by its
    digest from a registry in which the image has a name. What was only built here, and never pushed, cannot be fetched.
    """
    with store.leases.hold("repair the store"):
        for blob in damage.blobs:
            store.blobs.delete(blob)
        hurt = dict.fromkeys(damage.images)
        refused: dict[Digest, str] = {}
        for image, content in store.images.contents().items():
            if set(content.chain_ids) & set(damage.snapshots):
                hurt[image] = None
        for chain_id in _from_the_top(store, damage.snapshots):
            try:
                store.snapshots.remove(chain_id)
            except EstibaError as error:
                refused[chain_id] = error.message
        return tuple(
            _image(store, image, refused, credentials, platform, progress or Silence(), routes) for image in hurt
        )


def _image(
    store: Store,
    image: Digest,
    refused: dict[Digest, str],
    credentials: CredentialSource,
    platform: Platform,
    progress: Progress,
    routes: Routes,
) -> Repaired:
    content = store.images.content(image)
    for chain_id in content.chain_ids:
        if chain_id in refused:
            return Repaired(image, f"{refused[chain_id]}: remove what stands on it first", is_whole=False)
    try:
        if _from_here(store, image):
            return Repaired(image, "unpacked again from its blobs")
    except EstibaError as error:
        progress.line(f"image {image.short}: {error.message}")
    reason = "it was made here and has never been pushed: build or load it again"
    for source in _sources(store, image):
        try:
            asyncio.run(fetch_image(store, source, platform, credentials, progress, None, routes))
        except EstibaError as error:
            reason = error.message
        else:
            return Repaired(image, f"fetched again from {source.name}")
    return Repaired(image, reason, is_whole=False)


def _from_here(store: Store, image: Digest) -> bool:
    """Unpack what is missing from blobs that are here; False where one is not."""
    content = store.images.content(image)
    if not all(store.blobs.has(blob) for blob in (image, *content.blobs)):
        return False
    return unpack_image(store, image)


def _sources(store: Store, image: Digest) -> Iterator[Reference]:
    """Where a registry has, or had, exactly this image."""
    for record in store.references.names_of(image):
        if record.manifest is not None:
            yield record.name._replace(tag=None, digest=record.manifest)


def _from_the_top(store: Store, snapshots: tuple[Digest, ...]) -> list[Digest]:
    """These and all that stand on them, whatever stands on another before it."""
    lost = set(snapshots)
    found: dict[Digest, int] = {}
    for record in store.snapshots.list():
        if record.chain_id is not None:
            stack = (record.chain_id, *store.snapshots.parents(record.chain_id))
            if lost & set(stack):
                found[record.chain_id] = len(stack)
    return sorted(found, key=lambda chain_id: -found[chain_id])
