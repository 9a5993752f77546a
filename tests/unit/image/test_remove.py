"""Names go, then images, then what only they needed."""

from __future__ import annotations

import pytest

import archives
from estiba.image.archive.load import load
from estiba.image.remove import DELETED, UNTAGGED, ImageInUse, Removed, SeveralRepositories, remove_image
from estiba.oci.chain_id import chain_id
from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.store.images import ImageNotFound

SHARED = archives.tar({"shared": b"x"})
OWN = archives.tar({"own": b"y"})


@pytest.fixture
def add(store, tmp_path):
    """Adds the image of these layers under a name; gives its ID."""

    def run(name: str, *layers: bytes) -> Digest:
        (tmp_path / "in.tar").write_bytes(archives.docker_archive(layers, names=(name,)))
        with (tmp_path / "in.tar").open("rb") as stream:
            (loaded,) = load(store, stream, where="in.tar", platform=archives.PLATFORM)
        return loaded.record.id

    return run


def test_one_of_several_names_is_only_taken_away(store, add):
    image = add("app:1", SHARED)
    store.references.set(Reference.parse("app:2"), image)
    assert remove_image(store, "app:1") == (Removed(UNTAGGED, "app:1"),)
    assert store.images.find("app:2").id == image


def test_with_its_last_name_the_image_goes_and_what_others_need_stays(store, add):
    base = add("base:1", SHARED)
    image = add("app:1", SHARED, OWN)
    top = chain_id((Digest.of(SHARED), Digest.of(OWN)))
    assert remove_image(store, "app:1") == (
        Removed(UNTAGGED, "app:1"),
        Removed(DELETED, str(image)),
        Removed(DELETED, str(top)),
    )
    assert [record.id for record in store.images.list()] == [base]
    assert set(store.blobs.list()) == {base, Digest.of(SHARED)}
    assert [record.chain_id for record in store.snapshots.list()] == [Digest.of(SHARED)]


def test_an_id_takes_all_names_of_one_repository(store, add):
    image = add("app:1", SHARED)
    store.references.set(Reference.parse("app:2"), image)
    removed = remove_image(store, image.short)
    assert removed[:3] == (Removed(UNTAGGED, "app:1"), Removed(UNTAGGED, "app:2"), Removed(DELETED, str(image)))


def test_an_id_with_names_in_several_repositories_wants_force(store, add):
    image = add("app:1", SHARED)
    store.references.set(Reference.parse("other:1"), image)
    with pytest.raises(SeveralRepositories, match="app:1, other:1"):
        remove_image(store, image.short)
    assert len(remove_image(store, image.short, force=True)) == 4


def test_an_image_that_a_container_needs_stays(store, add):
    image = add("app:1", SHARED)
    store.uses.add("container/0123456789abcdef", "image", image)
    with pytest.raises(ImageInUse, match="used by container 0123456789ab"):
        remove_image(store, "app:1")
    assert remove_image(store, "app:1", force=True) == (Removed(UNTAGGED, "app:1"),)
    assert store.images.get(image) is not None


def test_the_digest_that_a_registry_gave_goes_with_the_last_tag(store, add):
    image = add("app:1", SHARED)
    digest = Digest.of(b"manifest")
    store.references.set(Reference.parse("app:1"), image, manifest=digest)
    assert remove_image(store, "app:1")[:2] == (Removed(UNTAGGED, "app:1"), Removed(UNTAGGED, f"app@{digest}"))


def test_while_something_else_is_added_the_content_stays_for_gc(store, add):
    add("app:1", SHARED)
    with store.leases.hold("a build"):
        removed = remove_image(store, "app:1")
    assert [one.what for one in removed] == [UNTAGGED, DELETED]
    assert store.snapshots.has(Digest.of(SHARED))


def test_what_is_not_here_cannot_be_removed(store):
    with pytest.raises(ImageNotFound):
        remove_image(store, "absent")
