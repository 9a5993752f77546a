"""Image records, and finding an image by what somebody typed."""

from __future__ import annotations

import pytest

import archives
from estiba.oci import mediatypes
from estiba.oci.chain_id import chain_id
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Manifest
from estiba.oci.reference import Reference
from estiba.store.blobs.base import BlobNotFound
from estiba.store.images import AmbiguousImage, ImageContent, ImageNotFound, ImageRecord, Match, WrongManifest


def _add(store, *layers: bytes, created: int = 0) -> ImageRecord:
    config = archives.config_of(layers)
    record = ImageRecord(store.blobs.put(config.raw), None, created, 100)
    store.images.add(record)
    return record


def test_what_an_image_needs_is_known_without_reading_it(store):
    record = _add(store, b"one", b"two")
    diff_ids = (Digest.of(b"one"), Digest.of(b"two"))
    chains = (diff_ids[0], chain_id(diff_ids))
    assert store.images.get(record.id) == record
    assert store.images.content(record.id) == ImageContent(diff_ids, chains, ())
    assert store.images.contents() == {record.id: ImageContent(diff_ids, chains, ())}


def test_a_record_is_refused_while_its_configuration_is_missing(store):
    with pytest.raises(BlobNotFound):
        store.images.add(ImageRecord(Digest.of(b"absent"), None, 0, 0))


def test_the_manifest_and_its_layers_belong_to_the_image(store):
    record = _add(store, b"one")
    layer = Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.of(b"compressed"), 10)
    manifest = Manifest.make(Descriptor(mediatypes.OCI_CONFIG, record.id, store.blobs.size(record.id)), (layer,))
    store.images.add(record._replace(manifest=store.blobs.put(manifest.raw)))
    assert set(store.images.content(record.id).blobs) == {manifest.digest, layer.digest}


def test_a_manifest_of_another_image_is_refused(store):
    record = _add(store, b"one")
    manifest = Manifest.make(Descriptor(mediatypes.OCI_CONFIG, Digest.of(b"other"), 5), ())
    with pytest.raises(WrongManifest):
        store.images.add(record._replace(manifest=store.blobs.put(manifest.raw)))


def test_images_are_listed_newest_first(store):
    old, new = _add(store, b"old", created=1), _add(store, b"new", created=2)
    assert store.images.list() == [new, old]


def test_an_image_is_found_by_name_by_id_and_by_the_beginning_of_its_id(store):
    record = _add(store, b"one")
    name = Reference.parse("team/app:1")
    store.references.set(name, record.id)
    assert store.images.match("team/app:1") == Match(record, name)
    for text in (str(record.id), record.id.hex, record.id.short, record.id.hex[:4], f"sha256:{record.id.hex[:6]}"):
        assert store.images.match(text) == Match(record, None), text


def test_a_name_wins_over_the_beginning_of_an_id(store):
    one, other = _add(store, b"one"), _add(store, b"other")
    store.references.set(Reference.parse(one.id.hex[:6]), other.id)
    assert store.images.find(one.id.hex[:6]) == other


def test_the_beginning_of_several_ids_is_ambiguous_and_names_them(store):
    records = [_add(store, bytes([i])) for i in range(17)]
    first = [record.id.hex[0] for record in records]
    digit = next(digit for digit in first if first.count(digit) > 1)
    with pytest.raises(AmbiguousImage, match="beginning of"):
        store.images.find(digit)


@pytest.mark.parametrize("text", ["nothing", "UPPER", "sha256:zz", "", "0" * 64, "a b"])
def test_what_is_not_here_is_not_found(store, text):
    with pytest.raises(ImageNotFound):
        store.images.find(text)


def test_a_removed_image_leaves_no_row(store):
    record = _add(store, b"one")
    assert store.images.remove(record.id)
    assert not store.images.remove(record.id)
    assert store.images.contents() == {}
    assert store.images.content(record.id) == ImageContent((), (), ())
