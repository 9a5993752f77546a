"""The check of a whole store: every name resolves, every digest verifies, every layer is there, orphans are known.

Changes nothing. What is found wrong is told as facts; what is merely unused is garbage, which `gc` removes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from estiba.errors import Corrupt, EstibaError, Unavailable
from estiba.oci.digest import Digest
from estiba.store import gc
from estiba.store.images import ImageRecord
from estiba.store.store import Store
from estiba.store.uses import SNAPSHOT
from estiba.values import NamedTuple

_REASON = "fsck"


class Problem(NamedTuple):
    """`what` is the thing (a name, an image, a blob, a snapshot, the database), `detail` what is wrong with it."""

    what: str
    detail: str


class Damage(NamedTuple):
    """What a repair begins with: blobs whose bytes are others than their digest says, committed snapshots whose
    directory is gone, and images that need either or that lack something.
    """

    blobs: tuple[Digest, ...] = ()
    snapshots: tuple[Digest, ...] = ()
    images: tuple[Digest, ...] = ()


class Report(NamedTuple):
    """`problems` is empty for a sound store; `garbage` is what gc would remove; the counts are what was checked."""

    problems: tuple[Problem, ...]
    garbage: gc.Plan
    images: int
    names: int
    blobs: int
    blob_bytes: int
    snapshots: int
    damage: Damage = Damage()


def check(store: Store) -> Report:
    """Check all. Reads every blob whole. Holds a lease, if the disk is not full, so that nothing vanishes meanwhile."""
    try:
        lease = store.leases.hold(_REASON).__enter__()
    except Unavailable:
        return _check(store)
    try:
        return _check(store)
    finally:
        lease.__exit__(None, None, None)


def _check(store: Store) -> Report:
    problems = [Problem("database", text) for text in store.database.problems()]
    blobs = _Blobs(store)
    problems += blobs.problems
    images = store.images.list()
    for image in images:
        problems += _image(store, image)
    problems += _names(store, {image.id for image in images})
    problems += _snapshots(store)
    counts = (len(images), len(store.references.list()), blobs.count, blobs.size, len(store.snapshots.list()))
    facts = gc.gather(store)
    others = tuple(lease for lease in facts.leases if not lease.startswith(f"{_REASON} "))
    return Report(tuple(problems), gc.plan(facts._replace(leases=others)), *counts, _damage(store, blobs, images))


def _damage(store: Store, blobs: _Blobs, images: list[ImageRecord]) -> Damage:
    lost = tuple(
        record.chain_id
        for record in store.snapshots.list()
        if record.chain_id is not None and not os.path.isdir(f"{store.paths.snapshot(record.number)}/fs")
    )
    hurt = []
    for image in images:
        content = store.images.content(image.id)
        needed = {image.id, *content.blobs}
        is_whole = all(store.blobs.has(blob) for blob in needed) and all(map(store.snapshots.has, content.chain_ids))
        if not is_whole or needed & set(blobs.damaged) or set(content.chain_ids) & set(lost):
            hurt.append(image.id)
    return Damage(tuple(blobs.damaged), lost, tuple(hurt))


class _Blobs:
    """Every blob read, its digest taken."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.size = 0
        self.problems: list[Problem] = []
        self.damaged: list[Digest] = []
        for digest in store.blobs.list():
            self.count += 1
            try:
                self.size += store.blobs.verify(digest)
            except EstibaError as error:
                self.problems.append(Problem(f"blob {digest}", error.message))
                self.damaged.append(digest)
        self.problems += [Problem(path, "is no blob, but lies among them") for path in store.blobs.strangers()]


def _image(store: Store, image: ImageRecord) -> Iterator[Problem]:
    what = f"image {image.id}"
    content = store.images.content(image.id)
    if not store.blobs.has(image.id):
        yield Problem(what, "its configuration is missing")
    else:
        try:
            diff_ids = store.images.config(image.id).diff_ids
        except Corrupt as error:
            yield Problem(what, f"its configuration: {error.message}")
        else:
            if diff_ids != content.diff_ids:
                yield Problem(what, "its record names other layers than its configuration")
    for blob in content.blobs:
        if not store.blobs.has(blob):
            yield Problem(what, f"blob {blob} is missing")
    for position, chain_id in enumerate(content.chain_ids):
        if not store.snapshots.has(chain_id):
            yield Problem(what, f"layer {position + 1} of {len(content.chain_ids)} is missing: snapshot {chain_id}")


def _names(store: Store, images: set[Digest]) -> Iterator[Problem]:
    for reference in store.references.list():
        if reference.target not in images:
            yield Problem(f"name {reference.name.familiar}", f"means image {reference.target}, which is not there")


def _snapshots(store: Store) -> Iterator[Problem]:
    records = store.snapshots.list()
    committed = {record.chain_id for record in records}
    for record in records:
        if record.chain_id is None and not store.uses.of(SNAPSHOT, record.key):
            continue  # of a process that was killed: garbage, however far it had come
        what = f"snapshot {record.chain_id or record.key}"
        if not os.path.isdir(f"{store.paths.snapshot(record.number)}/fs"):
            yield Problem(what, f"its directory is missing: {store.paths.snapshot(record.number)}/fs")
        if record.parent is not None and record.parent not in committed:
            yield Problem(what, f"its parent is missing: {record.parent}")
