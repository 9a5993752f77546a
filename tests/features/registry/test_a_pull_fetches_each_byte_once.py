"""A pull goes on where it was cut, whoever cut it; and what several pulls need at once is fetched once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.connection import Patience
from estiba.registry.client.credentials import NoCredentials
from estiba.registry.client.pull import pull
from estiba.store import gc
from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256

pytestmark = pytest.mark.root


@pytest.fixture
def make_store(tmp_path) -> Iterator[Callable[[], Store]]:
    opened: list[Store] = []

    def make() -> Store:
        opened.append(Store.open(str(tmp_path / "store")))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def fetch(store: Store, address: str, name: str = "a:1"):
    return pull(
        store,
        Reference.parse(f"{address}/{name}"),
        platform=Platform.parse("linux/amd64"),
        credentials=NoCredentials(),
        patience=Patience(attempts=4, first_wait=0.01),
    )


class Blobs:
    """A registry of one image which cuts each answer after `cut` bytes (0: never) and counts what it sent.

    With `hold`, it sends so many bytes of a layer in all and then waits for `go`.
    """

    def __init__(self, *layers: bytes, cut: int = 0, hold: int = 0) -> None:
        self.config = registries.config_of(*layers)
        self.manifest = registries.image_manifest(self.config, *layers)
        self.blobs = {sha256(data): data for data in (self.config, *layers)}
        self.cut = cut
        self.hold = hold
        self.go = threading.Event()
        self.holding = threading.Event()
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if "/manifests/" in request.path:
            return web.Response(body=self.manifest, content_type=registries.OCI_MANIFEST)
        digest = request.path.rpartition("/")[2]
        self.requests[digest] += 1
        data = self.blobs[digest]
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        end = min(start + self.cut, len(data)) if self.cut else len(data)
        for at in range(start, end, 1 << 16):
            if self.hold and at + (1 << 16) > self.hold and not self.go.is_set():
                self.holding.set()
                while not self.go.is_set():
                    await asyncio.sleep(0.01)
                    if request.transport is None or request.transport.is_closing():
                        return response
            part = data[at : min(at + (1 << 16), end)]
            await response.write(part)
            self.sent[digest] += len(part)
        if end < len(data):
            request.transport.close()  # sends what is buffered, then FIN
        return response


def test_a_pull_that_is_cut_again_and_again_fetches_hardly_a_byte_twice(misbehave, make_store):
    layer = registries.layer_of({"data": os.urandom(24_000_000)})
    blobs = Blobs(layer, cut=5_000_000)
    store = make_store()
    record = fetch(store, misbehave(blobs).address)
    assert store.blobs.verify(Digest.of(layer)) == len(layer)
    assert len(layer) <= blobs.sent[sha256(layer)] < 1.02 * len(layer)
    assert blobs.requests[sha256(layer)] == 5
    tree = store.snapshots.directories(store.images.config(record.id).chain_id)[0]
    assert os.path.getsize(f"{tree}/data") == 24_000_000
    assert os.listdir(store.paths.tmp) == []


def test_a_pull_after_a_kill_goes_on_where_the_killed_one_was(misbehave, estiba_home):
    layer = registries.layer_of({"data": os.urandom(12_000_000)})
    blobs = Blobs(layer, hold=8_000_000)
    address = misbehave(blobs).address
    killed = subprocess.Popen([*estiba_home.command, "pull", "-q", f"{address}/a:1"])
    assert blobs.holding.wait(30)
    partial = os.path.join(estiba_home.root, "tmp", f"partial.sha256.{sha256(layer).partition(':')[2]}")
    _until(lambda: os.path.exists(partial) and os.path.getsize(partial) > 6_000_000)
    killed.kill()
    killed.wait()
    came = os.path.getsize(partial)
    blobs.go.set()
    before = blobs.sent[sha256(layer)]
    estiba_home.estiba("pull", "-q", f"{address}/a:1")
    assert blobs.sent[sha256(layer)] - before == len(layer) - came
    assert "no problems" in estiba_home.estiba("fsck").stdout


def test_what_a_killed_pull_left_and_is_damaged_is_fetched_anew(misbehave, make_store):
    layer = registries.layer_of({"data": os.urandom(3_000_000)})
    store = make_store()
    with store.partials.take(Digest.of(layer), size=len(layer)) as partial:
        partial.write([bytes(1_000_000)])
    fetch(store, misbehave(Blobs(layer)).address)
    assert store.blobs.verify(Digest.of(layer)) == len(layer)


def test_gc_keeps_what_a_cut_pull_left_for_a_day_unless_asked(make_store):
    store = make_store()
    digest = Digest.of(b"whatever")
    with store.partials.take(digest, size=100) as partial:
        partial.write([b"what"])
    assert gc.collect(store).removals == ()
    os.utime(store.partials.path(digest), (0, 0))
    assert [removal.kind for removal in gc.plan(gc.gather(store)).removals] == [gc.PARTIAL_BLOB]
    os.utime(store.partials.path(digest))
    done = gc.collect(store, gc.Options(partial=True))
    assert [removal.target for removal in done.removals] == [store.partials.path(digest)]
    assert os.listdir(store.paths.tmp) == []


def test_two_processes_that_pull_the_same_fetch_it_once(misbehave, estiba_home):
    layer = registries.layer_of({"data": os.urandom(4_000_000)})
    blobs = Blobs(layer, hold=2_000_000)
    address = misbehave(blobs).address
    first = subprocess.Popen([*estiba_home.command, "pull", "-q", f"{address}/a:1"])
    assert blobs.holding.wait(30)
    second = subprocess.Popen([*estiba_home.command, "pull", "-q", f"{address}/b:1"])
    assert second.poll() is None
    blobs.go.set()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert set(blobs.requests.values()) == {1}


def test_two_images_that_share_a_layer_in_different_places_fetch_it_once(misbehave, make_store):
    shared = registries.layer_of({"shared": os.urandom(3_000_000)})
    below = registries.layer_of({"below": b"x"})
    one, other = Blobs(shared, hold=1_000_000), Blobs(below, shared)
    first_address, second_address = misbehave(one).address, misbehave(other).address
    threads = [threading.Thread(target=fetch, args=(make_store(), first_address))]
    threads[0].start()
    assert one.holding.wait(30)
    threads.append(threading.Thread(target=fetch, args=(make_store(), second_address)))
    threads[1].start()
    _until(lambda: other.requests[sha256(below)])
    one.go.set()
    for thread in threads:
        thread.join(60)
    assert one.requests[sha256(shared)] + other.requests[sha256(shared)] == 1
    assert len(make_store().images.list()) == 2


def test_fifty_pulls_of_one_image_at_once_fetch_each_blob_once(misbehave, make_store):
    layers = [registries.layer_of({f"data{number}": os.urandom(500_000)}) for number in range(4)]
    blobs = Blobs(*layers)
    address = misbehave(blobs).address
    failures: list[BaseException] = []

    def run() -> None:
        try:
            fetch(make_store(), address)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failures == []
    assert dict(blobs.requests) == dict.fromkeys(blobs.blobs, 1)
    assert os.listdir(make_store().paths.tmp) == []


def test_a_layer_that_lies_about_its_content_stops_the_others(misbehave, make_store):
    good, bad = registries.layer_of({"good": os.urandom(6_000_000)}), os.urandom(100_000)
    blobs = Blobs(good, bad, hold=3_000_000)
    store = make_store()
    with pytest.raises(Exception, match="layer sha256:"):
        fetch(store, misbehave(blobs).address)
    assert not blobs.go.is_set()  # the good one was still coming
    assert not store.blobs.has(Digest.of(bad))
    assert store.images.list() == []
    blobs.go.set()


def _until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to pass")
