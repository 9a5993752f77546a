"""`fsck --repair` fetches again what is damaged, and unpacks again what is missing."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from estiba.oci.digest import Digest
from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]

pytestmark = pytest.mark.root


@pytest.fixture
def pulled(server, repository, estiba_home):
    """A store with an image of two layers from a registry: the store's home, the image's name, its layers' digests."""
    layers = [registries.layer_of({name: os.urandom(50_000)}) for name in ("one", "two")]
    server.push_image(repository, "1", *layers, config=registries.config_of(*layers))
    name = f"{server.address}/{repository}:1"
    estiba_home.estiba("pull", "-q", name)
    return estiba_home, name, [Digest.of(layer) for layer in layers]


def damage(home, digest: Digest) -> None:
    path = os.path.join(home.root, "blobs", "sha256", digest.hex)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"damage")


def test_a_damaged_blob_is_fetched_again(pulled):
    home, name, layers = pulled
    damage(home, layers[1])
    assert home.estiba("fsck", check=False).returncode == 1
    told = home.estiba("fsck", "--repair").stdout
    assert f"({name}): fetched again from {name.rpartition(':')[0]}" in told
    assert told.splitlines()[-1].endswith("no problems.")


def test_everything_but_the_record_may_be_lost(pulled):
    home, name, _ = pulled
    shutil.rmtree(os.path.join(home.root, "blobs", "sha256"))
    os.mkdir(os.path.join(home.root, "blobs", "sha256"))
    home.estiba("fsck", "--repair")
    with Store.open(home.root) as store:
        record = store.images.find(name)
        assert store.blobs.has(record.id)
        assert store.blobs.has(record.manifest)


def test_a_lost_tree_is_unpacked_from_its_blob_without_the_registry(pulled, server):
    home, name, _ = pulled
    with Store.open(home.root) as store:
        chain_id = store.images.config(store.images.find(name).id).chain_id
        lower = store.snapshots.directories(chain_id)[1]
    shutil.rmtree(lower)
    told = home.estiba("fsck", "--repair").stdout
    assert "unpacked again from its blobs" in told
    home.estiba("image", "export", "-o", os.path.join(home.root, "out.tar"), name)


def test_what_was_only_built_here_stays_damaged_and_is_told(estiba_home, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    estiba_home.estiba("build", "-q", "-t", "mine:1", str(tmp_path))
    with Store.open(estiba_home.root) as store:
        chain_id = store.images.config(store.images.find("mine:1").id).chain_id
        shutil.rmtree(store.snapshots.directories(chain_id)[0])
    done = estiba_home.estiba("fsck", "--repair", check=False)
    assert done.returncode == 1
    assert "(mine:1) stays damaged: it was made here and has never been pushed" in done.stdout


def test_a_registry_that_does_not_have_it_any_more_is_told(pulled, server, repository):
    home, name, layers = pulled
    damage(home, layers[0])
    digest = home.estiba("digest", name).stdout.strip()
    assert server.request("DELETE", f"/v2/{repository}/manifests/{digest}").status == 202
    done = home.estiba("fsck", "--repair", check=False)
    assert done.returncode == 1
    assert "stays damaged" in done.stdout
    assert "MANIFEST_UNKNOWN" in done.stdout
