"""Shared bytes count once."""

from __future__ import annotations

import os
import subprocess

import pytest

import archives
from estiba.oci.chain_id import extend
from estiba.oci.digest import Digest
from estiba.store.images import ImageRecord
from estiba.store.scratch import size_on_disk
from estiba.store.usage import Line, measure
from estiba.store.uses import SNAPSHOT

LOW, A, B, CACHED = b"low", b"a", b"b", b"cached"


@pytest.fixture
def filled(store):
    """Images low+a and low+b, and a step of a build on low."""
    low = Digest.of(LOW)
    for layer, parent, size in ((LOW, None, 100_000), (A, low, 10_000), (B, low, 20_000), (CACHED, low, 50_000)):
        store.snapshots.prepare("work", parent)
        with open(store.snapshots.writable("work") + f"/{layer.decode()}", "wb") as file:
            file.write(b"x" * size)
        store.snapshots.commit("work", chain_id=extend(parent, Digest.of(layer)), diff_id=Digest.of(layer), size=size)
    for top in (A, B):
        config = archives.config_of([LOW, top])
        store.images.add(ImageRecord(store.blobs.put(config.raw), None, 0, 1))
    store.cache.put("key", extend(low, Digest.of(CACHED)), Digest.of(CACHED), {})
    return store


def _size(store, *layers: bytes) -> int:
    low = Digest.of(LOW)
    chains = [low if layer == LOW else extend(low, Digest.of(layer)) for layer in layers]
    return sum(size_on_disk(store.paths.snapshot(store.snapshots.get(chain).number)) for chain in chains)


def test_a_shared_layer_is_shared_and_the_rest_unique(filled):
    usage = measure(filled)
    by_id = {detail.record.id: detail for detail in usage.details}
    a = by_id[archives.config_of([LOW, A]).image_id]
    assert a.shared == _size(filled, LOW)
    assert a.unique == _size(filled, A) + 4096  # its configuration, a block
    assert usage.images.size == _size(filled, LOW, A, B) + 2 * 4096


def test_an_image_that_a_container_uses_is_not_reclaimable(filled):
    image = archives.config_of([LOW, A]).image_id
    filled.uses.add("container/1", "image", image)
    line = measure(filled).images
    assert (line.total, line.active) == (2, 1)
    assert line.reclaimable == _size(filled, B) + 4096


@pytest.mark.root
def test_the_build_cache_costs_what_no_image_has(filled):
    size = _size(filled, CACHED)
    assert measure(filled).build_cache == Line(1, 0, size, size)


def test_a_record_that_comes_while_the_disk_is_measured_is_in_no_line(filled, monkeypatch):
    listed = filled.cache.list
    low = Digest.of(LOW)

    def growing():
        found = listed()
        filled.cache.put(f"key {len(found)}", extend(low, Digest.of(CACHED)), Digest.of(CACHED), {})
        return found

    monkeypatch.setattr(filled.cache, "list", growing)
    line = measure(filled).build_cache
    assert (line.total, line.active) == (1, 0)


@pytest.mark.root
def test_all_lines_together_are_what_du_says_of_the_root(filled):
    """To the byte: with a container, a volume, what a killed command left, and what nothing needs."""
    filled.snapshots.prepare("container", None)
    filled.uses.add("container/1", SNAPSHOT, "container")
    filled.snapshots.prepare("of a killed build", None)
    filled.blobs.put(b"nobody needs this" * 1000)
    for name in ("containers/1/log", "volumes/v/_data/f", "mounts/m/f", "tmp/blob.1.left", "plans/a.json", "trash/t/f"):
        path = f"{filled.paths.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x" * 5000)
    usage = measure(filled)
    lines = (usage.images, usage.containers, usage.volumes, usage.build_cache, usage.trash, usage.other)
    done = subprocess.run(["du", "-s", "-B1", filled.paths.root], capture_output=True, text=True, check=True)
    assert sum(line.size for line in lines) == int(done.stdout.split()[0])
    assert usage.other.reclaimable == size_on_disk(filled.blobs.path(Digest.of(b"nobody needs this" * 1000))) + sum(
        size_on_disk(path) for path in (f"{filled.paths.tmp}/blob.1.left", filled.paths.snapshot(6))
    )
