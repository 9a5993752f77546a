"""Shared bytes count once."""

from __future__ import annotations

import pytest

import archives
from estiba.oci.chain_id import extend
from estiba.oci.digest import Digest
from estiba.store.images import ImageRecord
from estiba.store.usage import Line, measure

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
    return sum(store.snapshots.usage(chain).size for chain in chains)


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
