"""What takes how much space: images, containers, volumes and the build cache; shared bytes counted once."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from estiba.oci.digest import Digest
from estiba.store.cache import CacheRecord
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
    """Bytes as du(1) counts them; `details` are the images, the newest first; `trash` are removed volumes.

    `other` is all the rest below the root: tables, what is on its way, and what nothing needs until the next gc. So
    all together are what du says of the root.
    """

    images: Line
    containers: Line
    volumes: Line
    build_cache: Line
    details: tuple[ImageUsage, ...]
    trash: Line = Line(0, 0, 0, 0)
    other: Line = Line(0, 0, 0, 0)


def measure(
    store: Store, *, running: Collection[str] | None = None, volumes_in_use: Collection[str] | None = None
) -> Usage:
    """Look at the disk; walks every tree once.

    `running` are the IDs of containers, `volumes_in_use` the names of volumes that are active; None: all.
    """
    sizes: dict[_Part, int] = {
        record.chain_id or str(record.key): size_on_disk(store.paths.snapshot(record.number))
        for record in store.snapshots.list()
    }
    details, in_images = _images(store, sizes)
    parts = {part for parts in in_images.values() for part in parts}
    cache = store.cache.list()
    cached = _cached(store, cache, sizes, parts)
    active = tuple(detail for detail in details if detail.containers)
    total = _sum({part: size for parts in in_images.values() for part, size in parts.items()})
    kept = _sum({part: in_images[detail.record.id][part] for detail in active for part in in_images[detail.record.id]})
    return Usage(
        Line(len(details), len(active), total, total - kept),
        _containers(store, sizes, running),
        _volumes(store, volumes_in_use),
        _build_cache(store, len(cache), sizes, cached),
        details,
        _line({name: size_on_disk(f"{store.paths.trash}/{name}") for name in _names(store.paths.trash)}, ()),
        _other(store, sizes, parts, cached),
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


def _cached(
    store: Store, cache: Sequence[CacheRecord], sizes: dict[_Part, int], in_images: set[tuple[str, _Part]]
) -> frozenset[Digest]:
    """The snapshots that only the build cache keeps."""
    own: set[Digest] = set()
    for record in cache:
        chain = record.chain_id
        while chain is not None and chain in sizes and ("snapshot", chain) not in in_images and chain not in own:
            own.add(chain)
            above = store.snapshots.parents(chain)
            chain = above[0] if above else None
    return frozenset(own)


def _build_cache(store: Store, records: int, sizes: dict[_Part, int], own: frozenset[Digest]) -> Line:
    """The snapshots that only the build cache keeps, of its `records`, and what `RUN --mount=type=cache` keeps."""
    mounts = _names(store.paths.mounts)
    size = sum(sizes[chain] for chain in own) + sum(size_on_disk(f"{store.paths.mounts}/{name}") for name in mounts)
    return Line(records + len(mounts), records - len(own), size, size)


def _other(store: Store, sizes: dict[_Part, int], in_images: set[tuple[str, _Part]], cached: frozenset[Digest]) -> Line:
    """What is left below the root. Of it snapshots, blobs and scratch that nothing needs are what gc frees."""
    paths = store.paths
    used = {use.target for use in store.uses.list() if use.kind == SNAPSHOT}
    snapshots = [
        size
        for part, size in sizes.items()
        if ("snapshot", part) not in in_images and part not in cached and str(part) not in used
    ]
    blobs = [_blob_size(store, blob) for blob in store.blobs.list() if ("blob", blob) not in in_images]
    scratch = [size_on_disk(f"{paths.tmp}/{name}") for name in _names(paths.tmp)]
    idle = sum(snapshots) + sum(blobs) + sum(scratch)
    kept_elsewhere = (paths.blobs, paths.snapshots, paths.containers, paths.volumes, paths.mounts, paths.trash)
    own = sum(_own_size(place) for place in (*kept_elsewhere, f"{paths.blobs}/sha256", paths.tmp, paths.root))
    for name in _names(paths.root):
        if f"{paths.root}/{name}" not in (*kept_elsewhere, paths.tmp):
            own += size_on_disk(f"{paths.root}/{name}")
    return Line(len(snapshots) + len(blobs) + len(scratch), 0, own + idle, idle)


def _own_size(directory: str) -> int:
    """Of the directory alone, without what is in it."""
    try:
        return os.lstat(directory).st_blocks * 512
    except FileNotFoundError:
        return 0


def _sum(parts: dict[tuple[str, _Part], int]) -> int:
    return sum(parts.values())
