"""Before a byte of a layer is fetched a pull says what it needs and what is free; what cannot end is not begun."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiohttp import web

from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import parse_manifest
from estiba.registry.client.space import SpaceNeeded, space_needed
from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]

pytestmark = pytest.mark.root

PLAIN = registries.layer_of({"plain": os.urandom(300_000)})
OTHER = registries.layer_of({"other": os.urandom(200_000)})
PACKED = gzip.compress(OTHER)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[str]:
    """A directory on a disk of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "estiba-test", str(place)], check=True)
    yield str(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


def manifest_of(*layers: tuple[str, bytes]) -> bytes:
    import json

    value = json.loads(registries.image_manifest(registries.config_of(PLAIN, OTHER), PLAIN, PACKED))
    value["layers"] = [registries.descriptor(kind, data) for kind, data in layers]
    return json.dumps(value).encode()


KINDS = ("application/vnd.oci.image.layer.v1.tar", registries.OCI_LAYER)
MANIFEST = manifest_of((KINDS[0], PLAIN), (KINDS[1], PACKED))


def needed(store: Store) -> SpaceNeeded:
    manifest = parse_manifest(MANIFEST)
    return space_needed(store, manifest, ImageConfig.parse(registries.config_of(PLAIN, OTHER)))


def test_what_a_pull_needs_is_known_to_the_byte_as_far_as_anybody_can_know_it(tmp_path):
    """A plain layer is fetched and unpacked; how large a compressed one is inside nobody says."""
    with Store.open(str(tmp_path / "store")) as store:
        assert needed(store) == SpaceNeeded(len(PLAIN) + len(PACKED), len(PLAIN), unknown=1)
        with store.partials.take(Digest.of(PLAIN), size=len(PLAIN)) as partial:
            partial.write([PLAIN[:100_000]])
        assert needed(store).fetched == len(PLAIN) + len(PACKED) - 100_000
        store.blobs.put(PACKED)
        assert needed(store).fetched == len(PLAIN) - 100_000


def test_a_layer_that_is_here_in_another_stack_tells_how_large_it_is(tmp_path):
    with Store.open(str(tmp_path / "store")) as store:
        store.snapshots.prepare("x", None)
        store.snapshots.commit("x", chain_id=Digest.of(OTHER), diff_id=Digest.of(OTHER), size=200_123)
        assert needed(store) == SpaceNeeded(len(PLAIN) + len(PACKED), len(PLAIN) + 200_123, unknown=0)


class Image:
    """A registry of one image, which notes what is asked for."""

    def __init__(self, layer: bytes, kind: str) -> None:
        self.layer = layer
        self.config = registries.config_of(layer)
        self.manifest = manifest_of((kind, layer))
        self.manifest = self.manifest.replace(
            registries.sha256(registries.config_of(PLAIN, OTHER)).encode(), registries.sha256(self.config).encode()
        ).replace(b'"size": %d' % len(registries.config_of(PLAIN, OTHER)), b'"size": %d' % len(self.config))
        self.asked: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        if "/manifests/" in request.path:
            return web.Response(body=self.manifest, content_type=registries.OCI_MANIFEST)
        self.asked.append(request.path.rpartition("/")[2])
        return web.Response(body=self.config if request.path.endswith(registries.sha256(self.config)) else self.layer)


def test_an_image_that_fits_only_packed_is_not_begun(small_disk, misbehave, estiba_home):
    """2.5 MB to fetch and as much to unpack, on a disk of 4 MB."""
    image = Image(registries.layer_of({"large": os.urandom(2_500_000)}), KINDS[0])
    name = f"{misbehave(image).address}/a:1"
    estiba = [estiba_home.command[0], "--root", f"{small_disk}/root", "--run", estiba_home.run]
    done = subprocess.run(
        [*estiba, "pull", name], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert "no space for the image: it needs 2.5 MB to fetch, 2.5 MB to unpack" in done.stderr
    assert "bytes free" in done.stderr
    assert registries.sha256(image.layer) not in image.asked
    assert [entry.name for entry in os.scandir(f"{small_disk}/root/tmp")] == []


def test_what_is_needed_and_free_is_said(misbehave, estiba_home):
    image = Image(PLAIN, KINDS[0])
    done = estiba_home.estiba("pull", f"{misbehave(image).address}/a:1")
    assert "Space: 0.3 MB to fetch, 0.3 MB to unpack; " in done.stdout + done.stderr
    assert " are free" in done.stdout + done.stderr
