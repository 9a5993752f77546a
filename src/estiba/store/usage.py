"""What takes how much space: images, containers, volumes and the build cache; shared bytes counted once."""

from __future__ import annotations

import os
from typing import NamedTuple

from estiba.oci.digest import Digest
from estiba.store.images import ImageRecord
from estiba.store.scratch import size_on_disk
from estiba.store.store import Store
from estiba.store.uses import IMAGE, SNAPSHOT


class Line(NamedTuple):
    """One kind of things: how many, how many of them in use, bytes on disk, and bytes that pruning would free."""

    total: int
    active: int
    size: int
    reclaimable: int


class ImageUsage(NamedTuple):
    """One image: bytes that it shares with others, bytes of its own, and how many containers use it."""

    record: ImageRecord
    shared: int
    unique: int
    containers: int


class Usage(NamedTuple):
    """Bytes as du(1) counts them; `details` are the images, the newest first."""

    images: Line
    containers: Line
    volumes: Line
    build_cache: Line
    details: tuple[ImageUsage, ...]


def measure(store: Store) -> Usage:
    """Look at the disk; walks every tree once."""
    sizes = {record.chain_id or str(record.key): 0 for record in store.snapshots.list()}
    for name in sizes:
        sizes[name] = store.snapshots.usage(name).size
    details, in_images = _images(store, sizes)
    active = tuple(detail for detail in details if detail.containers)
    total = _sum({part: size for parts in in_images.values() for part, size in parts.items()})
    kept = _sum({part: in_images[detail.record.id][part] for detail in active for part in in_images[detail.record.id]})
    return Usage(
        Line(len(details), len(active), total, total - kept),
        _containers(store, sizes),
        _volumes(store),
        _build_cache(store, sizes, {part for parts in in_images.values() for part in parts}),
        details,
    )


_Part = Digest | str


def _images(
    store: Store, sizes: dict[_Part, int]
) -> tuple[tuple[ImageUsage, ...], dict[Digest, dict[tuple[str, _Part], int]]]:
    """Each image, and its parts (snapshots and blobs) with their sizes."""
    by_diff_id: dict[Digest, list[tuple[Digest, int]]] = {}
    for diff_id, blob in store.layer_blobs.list():
        by_diff_id.setdefault(diff_id, []).append((blob.digest, blob.size))
    parts: dict[Digest, dict[tuple[str, _Part], int]] = {}
    for image, content in store.images.contents().items():
        found: dict[tuple[str, _Part], int] = {("snapshot", chain): sizes.get(chain, 0) for chain in content.chain_ids}
        blobs = {image, *content.blobs, *(blob for diff in content.diff_ids for blob, _ in by_diff_id.get(diff, ()))}
        found |= {("blob", blob): _blob_size(store, blob) for blob in blobs}
        parts[image] = found
    owners: dict[tuple[str, _Part], int] = {}
    for found in parts.values():
        for part in found:
            owners[part] = owners.get(part, 0) + 1
    users: dict[str, int] = {}
    for use in store.uses.list():
        if use.kind == IMAGE:
            users[use.target] = users.get(use.target, 0) + 1
    details = []
    for record in store.images.list():
        mine = parts[record.id]
        shared = sum(size for part, size in mine.items() if owners[part] > 1)
        details.append(ImageUsage(record, shared, _sum(mine) - shared, users.get(str(record.id), 0)))
    return tuple(details), parts


def _blob_size(store: Store, blob: Digest) -> int:
    return size_on_disk(store.blobs.path(blob))


def _containers(store: Store, sizes: dict[_Part, int]) -> Line:
    holders = {use.target: use.holder for use in store.uses.list() if use.kind == SNAPSHOT}
    mine = [(name, size) for name, size in sizes.items() if isinstance(name, str) and name in holders]
    extra = size_on_disk(store.paths.containers)
    size = sum(size for _, size in mine) + extra
    return Line(len(mine), len(mine), size, 0)


def _volumes(store: Store) -> Line:
    try:
        names = os.listdir(store.paths.volumes)
    except FileNotFoundError:
        return Line(0, 0, 0, 0)
    size = size_on_disk(store.paths.volumes)
    return Line(len(names), len(names), size, 0)


def _build_cache(store: Store, sizes: dict[_Part, int], in_images: set[tuple[str, _Part]]) -> Line:
    """The snapshots that only the build cache keeps."""
    records = store.cache.list()
    own: set[Digest] = set()
    for record in records:
        chain = record.chain_id
        while chain is not None and chain in sizes and ("snapshot", chain) not in in_images and chain not in own:
            own.add(chain)
            above = store.snapshots.parents(chain)
            chain = above[0] if above else None
    size = sum(sizes[chain] for chain in own)
    return Line(len(records), len(records) - len(own), size, size)


def _sum(parts: dict[tuple[str, _Part], int]) -> int:
    return sum(parts.values())
