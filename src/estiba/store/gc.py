"""Garbage collection: what nothing needs, why, and how much that frees; then its removal.

    gather(store) ──▶ Facts ──plan, pure──▶ Plan: removals with reasons ──apply──▶ what was removed

Roots are names, images (unless dangling ones are asked for), uses, the build cache, and leases. While a process holds a
lease, things that nothing refers to may be about to be referred to: they stay.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from estiba.oci.digest import Digest
from estiba.store.blobs.base import BlobInfo
from estiba.store.blobs.partial import PartialRecord
from estiba.store.scratch import Abandoned, remove_any, size_on_disk, translated
from estiba.store.store import Store
from estiba.store.uses import BLOB, IMAGE, SNAPSHOT, Use
from estiba.values import NamedTuple

# The kinds of removals.
DANGLING_IMAGE = "image"
CACHE_RECORD = "cache"
ACTIVE_SNAPSHOT = "active snapshot"
COMMITTED_SNAPSHOT = "snapshot"
UNUSED_BLOB = "blob"
CACHE_MOUNT = "cache mount"
LEFTOVER = "leftover"
PARTIAL_BLOB = "partial blob"

_DANGLING = "it has no name and no container"

PARTIALS_KEPT = 24 * 3600.0
"""Seconds for which the beginning of a blob waits for the next pull, which goes on from there."""


class ImageFact(NamedTuple):
    """One image and what it needs besides its configuration, the blob `id`; blobs that its names mean are among it."""

    id: Digest
    names: tuple[str, ...]
    chain_ids: tuple[Digest, ...]
    diff_ids: tuple[Digest, ...]
    blobs: tuple[Digest, ...]


class SnapshotFact(NamedTuple):
    """One snapshot: committed where it has a chain ID, else active; `size` in bytes."""

    key: str | None
    chain_id: Digest | None
    parent: Digest | None
    size: int

    @property
    def name(self) -> str:
        return str(self.chain_id or self.key)


class Facts(NamedTuple):
    """All that the plan depends on. `leases` are those of living processes; `mounts` the directories that steps of
    builds keep between builds.
    """

    images: tuple[ImageFact, ...] = ()
    leases: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    cache: tuple[tuple[str, Digest | None], ...] = ()
    layer_blobs: tuple[tuple[Digest, Digest], ...] = ()
    snapshots: tuple[SnapshotFact, ...] = ()
    blobs: tuple[BlobInfo, ...] = ()
    leftovers: tuple[Abandoned, ...] = ()
    partials: tuple[PartialRecord, ...] = ()
    mounts: tuple[Abandoned, ...] = ()

    def without(self, holders: Collection[str]) -> Facts:
        """The same, as if `holders` of uses were gone already."""
        return self._replace(uses=tuple(use for use in self.uses if use.holder not in holders))


class Options(NamedTuple):
    """What more than plain garbage is to go, and how old leftovers must be, in seconds.

    `dangling` is for images without a name, `unused` for all that no container has. `build_cache` is for the results of
    steps and for what `RUN --mount=type=cache` keeps. `partial` is for the beginnings of blobs whose pull was cut, of
    whatever age.
    """

    dangling: bool = False
    unused: bool = False
    build_cache: bool = False
    grace: float = 0
    partial: bool = False


class Removal(NamedTuple):
    """One thing to remove: its kind, its name (a digest, a key, a path), why, and the bytes that this frees."""

    kind: str
    target: str
    reason: str
    size: int


class Plan(NamedTuple):
    """`removals`, and `kept`, which says what else would go if it were not for whom."""

    removals: tuple[Removal, ...]
    kept: str = ""

    @property
    def size(self) -> int:
        return sum(removal.size for removal in self.removals)

    def only(self, targets: Iterable[str]) -> Plan:
        """The same for `targets` alone."""
        wanted = frozenset(targets)
        return self._replace(removals=tuple(removal for removal in self.removals if removal.target in wanted))


def plan(facts: Facts, options: Options = Options()) -> Plan:  # noqa: B008 - an immutable value
    """Decide what goes. Pure."""
    leftovers = (
        *(Removal(LEFTOVER, thing.path, "its writer is gone", thing.size) for thing in facts.leftovers),
        *_partials(facts, options),
    )
    wanted = (*_garbage(facts, options), *leftovers)
    if not facts.leases:
        return Plan(wanted)
    waiting = len(wanted) - len(leftovers)
    who = ", ".join(facts.leases)
    return Plan(leftovers, f"{waiting} unreferenced things stay while this goes on: {who}" if waiting else "")


def plan_of_cache(facts: Facts, *, whole: bool) -> Plan:
    """Decide what goes of the build cache alone; `facts` were gathered with `build_cache`. Pure.

    Unless `whole`, the results stay that images have as well: they take no room, and the next build is glad of them.
    """
    in_images = {chain for image in facts.images for chain in image.chain_ids}
    shared = {key for key, chain in facts.cache if chain in in_images}
    found = plan(facts, Options(build_cache=True))
    kinds = (CACHE_RECORD, CACHE_MOUNT, COMMITTED_SNAPSHOT)
    chosen = (one for one in found.removals if one.kind in kinds and (whole or one.target not in shared))
    return found._replace(removals=tuple(chosen))


def _partials(facts: Facts, options: Options) -> Iterator[Removal]:
    arrived = {blob.digest for blob in facts.blobs}
    for partial in facts.partials:
        if partial.digest in arrived:
            yield Removal(PARTIAL_BLOB, partial.path, "the whole blob is here", partial.size)
        elif options.partial or partial.age >= PARTIALS_KEPT:
            reason = f"its pull was cut {int(partial.age // 3600)} hours ago" if partial.age >= 3600 else "it is a part"
            yield Removal(PARTIAL_BLOB, partial.path, reason, partial.size)


def _garbage(facts: Facts, options: Options) -> Iterator[Removal]:
    used_images = {use.target for use in facts.uses if use.kind == IMAGE}
    images = [image for image in facts.images if str(image.id) in used_images or _stays(image, options)]
    alive = {image.id for image in images}
    for image in facts.images:
        if image.id not in alive:
            names = ", ".join(image.names)
            yield Removal(DANGLING_IMAGE, str(image.id), f"no container has it: {names}" if names else _DANGLING, 0)
    cache = () if options.build_cache else facts.cache
    if options.build_cache:
        for key, _ in facts.cache:
            yield Removal(CACHE_RECORD, key, "the build cache is to be emptied", 0)
        for mount in facts.mounts:
            yield Removal(CACHE_MOUNT, mount.path, "the build cache is to be emptied", mount.size)
    yield from _snapshots(facts, images, [chain for _, chain in cache if chain])
    yield from _blobs(facts, images)


def _stays(image: ImageFact, options: Options) -> bool:
    return not options.unused and (bool(image.names) or not options.dangling)


def _snapshots(facts: Facts, images: list[ImageFact], cached: list[Digest]) -> Iterator[Removal]:
    used = {use.target for use in facts.uses if use.kind == SNAPSHOT}
    parents = {fact.chain_id: fact.parent for fact in facts.snapshots if fact.chain_id}
    roots: list[Digest | None] = [chain for image in images for chain in image.chain_ids]
    roots += cached
    roots += [fact.chain_id for fact in facts.snapshots if fact.chain_id and str(fact.chain_id) in used]
    roots += [fact.parent for fact in facts.snapshots if fact.key in used]
    needed: set[Digest] = set()
    for root in roots:
        chain = root
        while chain is not None and chain not in needed:
            needed.add(chain)
            chain = parents.get(chain)
    for fact in facts.snapshots:
        if fact.chain_id is None and fact.key not in used:
            yield Removal(ACTIVE_SNAPSHOT, fact.name, "nobody is working on it", fact.size)
    depth = {chain: _depth(chain, parents) for chain in parents}
    unneeded = [fact for fact in facts.snapshots if fact.chain_id and fact.chain_id not in needed]
    for fact in sorted(unneeded, key=lambda fact: -depth[fact.chain_id] if fact.chain_id else 0):
        yield Removal(COMMITTED_SNAPSHOT, fact.name, "no image, container or build step needs it", fact.size)


def _depth(chain: Digest | None, parents: dict[Digest, Digest | None]) -> int:
    depth = 0
    while chain is not None and depth <= len(parents):
        depth += 1
        chain = parents.get(chain)
    return depth


def _blobs(facts: Facts, images: list[ImageFact]) -> Iterator[Removal]:
    used = {use.target for use in facts.uses if use.kind == BLOB}
    diff_ids = {diff_id for image in images for diff_id in image.diff_ids}
    needed = {blob for image in images for blob in (image.id, *image.blobs)}
    needed |= {blob for diff_id, blob in facts.layer_blobs if diff_id in diff_ids}
    for blob in facts.blobs:
        if blob.digest not in needed and str(blob.digest) not in used:
            yield Removal(UNUSED_BLOB, str(blob.digest), "no image needs it", blob.size)


def gather(store: Store, options: Options = Options()) -> Facts:  # noqa: B008 - an immutable value
    """Look at the store. Changes nothing that counts."""
    names: dict[Digest, list[str]] = {}
    manifests: dict[Digest, list[Digest]] = {}
    for reference in store.references.list():
        names.setdefault(reference.target, []).append(reference.name.familiar)
        if reference.manifest:
            manifests.setdefault(reference.target, []).append(reference.manifest)
    images = tuple(
        ImageFact(
            image,
            tuple(names.get(image, ())),
            content.chain_ids,
            content.diff_ids,
            (*content.blobs, *(one for one in manifests.get(image, ()) if one not in content.blobs)),
        )
        for image, content in store.images.contents().items()
    )
    snapshots = tuple(
        SnapshotFact(
            record.key,
            record.chain_id,
            record.parent,
            record.size if record.chain_id else store.snapshots.usage(str(record.key)).size,
        )
        for record in store.snapshots.list()
    )
    strays = tuple(Abandoned(path, size_on_disk(path)) for path in store.snapshots.strays())
    return Facts(
        images,
        tuple(str(lease) for lease in store.leases.alive()),
        store.uses.list(),
        tuple((record.key, record.chain_id) for record in store.cache.list()),
        tuple((diff_id, blob.digest) for diff_id, blob in store.layer_blobs.list()),
        snapshots,
        tuple(BlobInfo(digest, store.blobs.size(digest)) for digest in store.blobs.list()),
        (*strays, *_leftovers(store, options)),
        tuple(store.partials.list()),
        tuple(_mounts(store)) if options.build_cache else (),
    )


def _mounts(store: Store) -> Iterator[Abandoned]:
    try:
        names = sorted(os.listdir(store.paths.mounts))
    except FileNotFoundError:
        return
    for name in names:
        path = f"{store.paths.mounts}/{name}"
        yield Abandoned(path, size_on_disk(path))


def _leftovers(store: Store, options: Options) -> Iterator[Abandoned]:
    for thing in store.scratch.abandoned(grace=options.grace):
        if not store.partials.is_one(thing.path):
            yield thing


def apply(store: Store, wanted: Plan, options: Options = Options()) -> Plan:  # noqa: B008 - an immutable value
    """Remove what `wanted` names and what is garbage still; gives what was removed.

    Each stage is a transaction that looks again first, so that nobody can begin to rely on a thing between the look and
    its removal; trees are removed afterwards, when nothing names them any more. What needs no row to be written goes
    first, so that it works on a full disk.

    Raises:
        Unavailable, PermissionDenied: a file cannot be removed.
    """
    targets = frozenset(removal.target for removal in wanted.removals)
    gone = _remove_leftovers(store, targets, options)
    removed = [removal for removal in wanted.removals if removal.target in gone]
    kept = wanted.kept
    store.leases.sweep()
    for kinds, what in (
        ((UNUSED_BLOB,), Options()),
        ((DANGLING_IMAGE, CACHE_RECORD, CACHE_MOUNT), options),
        ((ACTIVE_SNAPSHOT, COMMITTED_SNAPSHOT), options),
        ((UNUSED_BLOB,), options),
    ):
        if not any(removal.kind in kinds for removal in wanted.removals):
            continue
        with store.database.transaction():
            fresh = plan(gather(store, what), what)
            kept = fresh.kept or kept
            todo = [removal for removal in fresh.only(targets).removals if removal.kind in kinds]
            for removal in todo:
                _remove(store, removal)
        for removal in todo:
            if removal.kind == CACHE_MOUNT:
                remove_any(_out_of_the_way(store, removal.target))
        removed += todo
    _remove_leftovers(store, frozenset(), options)
    return Plan(tuple(removed), kept)


def _remove_leftovers(store: Store, targets: frozenset[str], options: Options) -> frozenset[str]:
    """Remove directories without a snapshot, and abandoned scratch of `targets`; gives the paths."""
    try:
        strays = store.snapshots.strays()
        for path in strays:
            remove_any(path)
        return frozenset((*strays, *store.scratch.remove_abandoned(targets, grace=options.grace)))
    except OSError as error:
        raise translated(error, str(error.filename or store.paths.root)) from error


def _remove(store: Store, removal: Removal) -> None:
    if removal.kind == DANGLING_IMAGE:
        for record in store.references.names_of(Digest.parse(removal.target)):
            store.references.remove(record.name)
        store.images.remove(Digest.parse(removal.target))
    elif removal.kind == CACHE_MOUNT:
        try:
            os.rename(removal.target, _out_of_the_way(store, removal.target))
        except FileNotFoundError:
            pass  # another process was quicker
    elif removal.kind == CACHE_RECORD:
        store.cache.remove(removal.target)
    elif removal.kind == ACTIVE_SNAPSHOT:
        store.snapshots.forget(removal.target)
    elif removal.kind == COMMITTED_SNAPSHOT:
        store.snapshots.forget(Digest.parse(removal.target))
    elif removal.kind == UNUSED_BLOB:
        store.blobs.delete(Digest.parse(removal.target))


def _out_of_the_way(store: Store, path: str) -> str:
    """Where a cache mount goes before it is removed: another build makes a new one meanwhile."""
    return f"{store.paths.tmp}/dead.{os.getpid()}.{os.path.basename(path)}"


def collect(store: Store, options: Options = Options()) -> Plan:  # noqa: B008 - an immutable value
    """Plan and apply; gives what was removed."""
    return apply(store, plan(gather(store, options), options), options)
