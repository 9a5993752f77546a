"""The audit of a whole store after a crash: by its own reading of the disk and of the tables, not by what gc says.

What an audit takes for needed: what names, images, uses and the build cache reach. Everything else is an orphan.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from estiba.store.fsck import check
from estiba.store.gc import Options, collect
from estiba.store.store import Store

PLACES = ("blobs/sha256", "snapshots", "tmp", "plans", "mounts", "containers", "volumes")
"""Where a store keeps things, each an entry of one of these directories."""

_FORMS = "SELECT blob FROM layer_blobs WHERE diff_id IN (SELECT diff_id FROM image_layers)"


class Contents(NamedTuple):
    """`names` and what they mean; `images`, IDs; `things`, the entries of PLACES; `needed`, what something needs."""

    names: dict[str, str]
    images: frozenset[str]
    things: frozenset[str]
    needed: frozenset[str]

    @property
    def orphans(self) -> frozenset[str]:
        return self.things - self.needed


def contents(root: str) -> Contents:
    """What is there, read from the disk."""
    things = {f"{place}/{name}" for place in PLACES for name in _names(f"{root}/{place}")}
    with sqlite3.connect(f"{root}/state.db") as tables:
        rows = lambda query: _rows(tables, query)  # noqa: E731
        names = dict(rows("SELECT name, image FROM refs"))
        images = frozenset(image for (image,) in rows("SELECT id FROM images"))
        needed = set(_needed_blobs(rows)) | set(_needed_snapshots(rows))
        # A known form of a layer is a hint: a row whose blob has gone is passed over.
        needed |= things & {_blob(blob) for (blob,) in rows(_FORMS)}
    tables.close()
    needed |= {thing for thing in things if thing.partition("/")[0] in ("plans", "mounts", "containers", "volumes")}
    return Contents(names, images, frozenset(things), frozenset(needed))


def assert_sound(root: str, *, kept: Contents) -> None:
    """Nothing of `kept` is lost, and whatever is named resolves and verifies, before and after a garbage collection.

    The collection frees the orphans, all of them and nothing else.
    """
    with Store.open(root) as store:
        found = contents(root)
        _assert_kept(found, kept)
        _assert_valid(store)
        collect(store, Options(partial=True))
        after = contents(root)
        assert after.orphans == frozenset(), "gc leaves orphans"
        lost = found.things - after.things
        assert lost == found.orphans, "gc takes what is needed"
        _assert_kept(after, kept)
        _assert_valid(store)
        left = check(store).garbage
        assert left.removals == (), f"gc leaves garbage: {left}"
        assert store.leases.alive() == (), f"who holds a lease: {store.leases.alive()}"


def _assert_kept(found: Contents, kept: Contents) -> None:
    assert kept.names.items() <= found.names.items(), "a name was lost"
    assert kept.images <= found.images, "an image was lost"
    assert kept.needed & kept.things <= found.things, "a file was lost"
    assert found.needed <= found.things, "something is named that is not there"


def _assert_valid(store: Store) -> None:
    problems = check(store).problems
    assert problems == (), f"fsck finds {problems}"


def _needed_blobs(rows) -> Iterator[str]:
    """Configurations, manifests, indexes, layers."""
    wanted = {image for (image,) in rows("SELECT id FROM images")}
    wanted |= {blob for (blob,) in rows("SELECT blob FROM image_blobs")}
    wanted |= {top for (top,) in rows("SELECT manifest FROM refs WHERE manifest IS NOT NULL")}
    wanted |= {blob for (blob,) in rows("SELECT target FROM uses WHERE kind = 'blob'")}
    yield from map(_blob, wanted)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _needed_snapshots(rows) -> Iterator[str]:
    committed = {chain: (number, parent) for number, chain, parent in rows(
        "SELECT number, chain_id, parent FROM snapshots WHERE chain_id IS NOT NULL"
    )}  # fmt: skip
    used = {target for (target,) in rows("SELECT target FROM uses WHERE kind = 'snapshot'")}
    roots = {chain for (chain,) in rows("SELECT chain_id FROM image_layers")}
    roots |= {chain for (chain,) in rows("SELECT chain_id FROM cache WHERE chain_id IS NOT NULL")}
    roots |= used
    for number, key, parent in rows("SELECT number, key, parent FROM snapshots WHERE key IS NOT NULL"):
        if key in used:
            yield f"snapshots/{number}"
            roots.add(parent)
    for root in roots:
        chain = root
        while chain in committed:
            number, chain = committed[chain]
            yield f"snapshots/{number}"


def _rows(tables: sqlite3.Connection, query: str) -> list[tuple]:
    try:
        return tables.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        assert "no such table" in str(error)  # the command came not so far as to make it
        return []


def _names(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []
