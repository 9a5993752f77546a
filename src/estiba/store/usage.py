"""What takes how much space: images, containers, volumes and the build cache; shared bytes counted once."""

from __future__ import annotations

import os
from collections.abc import Collection

from estiba.oci.digest import Digest
from estiba.store.images import ImageRecord
from estiba.store.scratch import size_on_disk
from estiba.store.store import Store
from estiba.store.uses import IMAGE, SNAPSHOT
from estiba.values import NamedTuple


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
    """Bytes as du(1) counts them; `details` are the images, the newest first; `trash` are removed volumes."""

    images: Line
    containers: Line
    volumes: Line
    build_cache: Line
    details: tuple[ImageUsage, ...]
    trash: Line = Line(0, 0, 0, 0)


def measure(
    store: Store, *, running: Collection[str] | None = None, volumes_in_use: Collection[str] | None = None
) -> Usage:
    """Look at the disk; walks every tree once.

    `running` are the IDs of containers, `volumes_in_use` the names of volumes that are active; None: all.
    """
    sizes = {record.chain_id or str(record.key): 0 for record in store.snapshots.list()}
    for name in sizes:
        sizes[name] = store.snapshots.usage(name).size
    details, in_images = _images(store, sizes)
    active = tuple(detail for detail in details if detail.containers)
    total = _sum({part: size for parts in in_images.values() for part, size in parts.items()})
    kept = _sum({part: in_images[detail.record.id][part] for detail in active for part in in_images[detail.record.id]})
    return Usage(
        Line(len(details), len(active), total, total - kept),
        _containers(store, sizes, running),
        _volumes(store, volumes_in_use),
        _build_cache(store, sizes, {part for parts in in_images.values() for part in parts}),
        details,
        _line({name: size_on_disk(f"{store.paths.trash}/{name}") for name in _names(store.paths.trash)}, ()),
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


def _containers(store: Store, sizes: dict[_Part, int], running: Collection[str] | None) -> Line:
    """Each container's own files: its snapshot, its logs and settings."""
    total: dict[str, int] = {}
    for use in store.uses.list():
        if use.kind == SNAPSHOT and use.target in sizes:
            identifier = use.holder.partition("/")[2]
            total[identifier] = total.get(identifier, 0) + sizes[use.target]
    for identifier in _names(store.paths.containers):
        total[identifier] = total.get(identifier, 0) + size_on_disk(store.paths.container(identifier))
    return _line(total, running)


def _volumes(store: Store, in_use: Collection[str] | None) -> Line:
    return _line({name: size_on_disk(store.paths.volume(name)) for name in _names(store.paths.volumes)}, in_use)


def _line(sizes: dict[str, int], active: Collection[str] | None) -> Line:
    idle = [name for name in sizes if active is not None and name not in active]
    return Line(len(sizes), len(sizes) - len(idle), sum(sizes.values()), sum(sizes[name] for name in idle))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _build_cache(store: Store, sizes: dict[_Part, int], in_images: set[tuple[str, _Part]]) -> Line:
    """The snapshots that only the build cache keeps, and what `RUN --mount=type=cache` keeps."""
    records = store.cache.list()
    own: set[Digest] = set()
    for record in records:
        chain = record.chain_id
        while chain is not None and chain in sizes and ("snapshot", chain) not in in_images and chain not in own:
            own.add(chain)
            above = store.snapshots.parents(chain)
            chain = above[0] if above else None
    mounts = _names(store.paths.mounts)
    size = sum(sizes[chain] for chain in own) + sum(size_on_disk(f"{store.paths.mounts}/{name}") for name in mounts)
    return Line(len(records) + len(mounts), len(records) - len(own), size, size)


def _sum(parts: dict[tuple[str, _Part], int]) -> int:
    return sum(parts.values())
