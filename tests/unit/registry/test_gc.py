"""Garbage collection of the registry: what it takes, what it must not, and what a kill leaves to the next run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from estiba.oci.digest import Digest
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.server.gc import Collected, Collector
from estiba.registry.server.metadata import collect
from estiba.registry.server.metadata.catalogue import Catalogue
from estiba.registry.server.metadata.database import Database
from estiba.registry.server.metadata.values import NewManifest
from estiba.registry.server.storage.memory import MemoryStorage

FOREVER = 10**12
GRACE = 100


class World:
    """A registry whose clock stands still until it is told otherwise."""

    def __init__(self, path: str) -> None:
        self.now = 1000
        self.database = Database(path)
        self.storage = MemoryStorage()
        self.catalogue = Catalogue(self.database, clock=lambda: self.now)
        self.collector = Collector(self.database, self.storage, clock=lambda: self.now)

    async def push(self, repository: str, data: bytes) -> Digest:
        digest = Digest.of(data)
        self.store(data)
        await self.catalogue.link_blob(
            repository, digest, len(data), session="s", restore=partial(self.storage.restore, "s", digest)
        )
        self.storage.discard_upload("s")
        return digest

    def store(self, data: bytes) -> None:
        self.storage.create_upload("s")
        self.storage.open_upload("s").append(data)
        self.storage.store("s", Digest.of(data))

    async def push_manifest(self, repository: str, content: bytes, *blobs: Digest) -> None:
        new = NewManifest(Digest.of(content), "type", content, blobs, (), None, "", "")
        await self.catalogue.put_manifest(repository, new, by="")

    def collect(self, *, upload_grace: int = FOREVER) -> Collected:
        return self.collector.run(grace=GRACE, upload_grace=upload_grace)


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = World(str(tmp_path / "catalogue.db"))
    yield made
    made.database.close()


async def test_what_a_manifest_needs_stays_for_ever(world):
    digest = await world.push("a", b"layer")
    await world.push_manifest("a", b"{}", digest)
    world.now += 10 * GRACE
    assert world.collect() == Collected(0, 0, 0, 0)
    assert world.storage.has(digest)


async def test_what_nothing_needs_goes_after_its_grace(world):
    digest = await world.push("a", b"layer")
    world.now += GRACE - 1
    assert world.collect().blobs == 0
    world.now += 1
    assert world.collect() == Collected(links=1, blobs=1, uploads=0, bytes=5)
    assert not world.storage.has(digest)
    assert list(world.storage.hidden()) == []
    with pytest.raises(ProtocolError):
        world.catalogue.blob("a", digest)


async def test_whoever_confirms_a_blob_begins_its_grace_anew(world):
    digest = await world.push("a", b"layer")
    world.now += GRACE - 1
    assert await world.catalogue.touch_blob("a", digest)
    world.now += GRACE - 1
    assert world.collect().links == 0
    world.now += GRACE
    assert world.collect().blobs == 1
    assert not await world.catalogue.touch_blob("a", digest)


async def test_a_repository_that_does_not_need_a_blob_loses_it_while_another_keeps_it(world):
    digest = await world.push("a", b"layer")
    await world.catalogue.mount_blob("b", digest, source="a")
    await world.push_manifest("b", b"{}", digest)
    world.now += GRACE
    assert world.collect() == Collected(links=1, blobs=0, uploads=0, bytes=0)
    assert world.catalogue.blob("b", digest).size == 5
    with pytest.raises(ProtocolError):
        world.catalogue.blob("a", digest)


async def test_a_kill_before_the_commit_brings_the_bytes_back(world):
    """Hidden, but the row is there: the transaction was never committed."""
    digest = await world.push("a", b"layer")
    world.storage.hide(digest)
    world.collector.recover()
    assert world.storage.has(digest)


async def test_a_kill_after_the_commit_destroys_the_bytes(world):
    """The row is gone and the bytes are hidden still."""
    digest = await world.push("a", b"layer")
    world.storage.hide(digest)
    await world.catalogue.unlink_blob("a", digest)
    world.database.write_now(partial(collect.forget, digests=[digest]))
    world.collector.recover()
    assert not world.storage.has(digest)
    assert list(world.storage.hidden()) == []


async def test_bytes_that_no_row_names_are_freed(world):
    """Their push was killed between the two."""
    world.store(b"stray")
    world.storage.discard_upload("s")
    assert world.collect() == Collected(links=0, blobs=1, uploads=0, bytes=5)
    assert list(world.storage.blobs()) == []


async def test_a_push_that_gc_overtakes_keeps_its_bytes(world):
    """gc takes what has no row yet; the push's own transaction puts it back."""
    digest = Digest.of(b"layer")
    world.store(b"layer")
    world.collect()
    assert not world.storage.has(digest)
    await world.catalogue.link_blob("a", digest, 5, session="s", restore=partial(world.storage.restore, "s", digest))
    world.storage.discard_upload("s")
    assert world.storage.has(digest)
    assert world.collect().blobs == 0


async def test_uploads_that_do_not_grow_any_more_end(world):
    await world.catalogue.begin_upload("a", "s")
    world.storage.create_upload("s")
    world.storage.open_upload("s").append(b"half")
    assert world.collect().uploads == 0
    world.now = 2 * FOREVER
    assert world.collect() == Collected(links=0, blobs=0, uploads=1, bytes=4)
    with pytest.raises(ProtocolError):
        world.catalogue.check_upload("a", "s")
