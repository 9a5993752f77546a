"""Names and what they mean."""

from __future__ import annotations

import pytest

from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.store.references import ReferenceRecord, UnknownName

ONE, OTHER, MANIFEST = Digest.of(b"one"), Digest.of(b"other"), Digest.of(b"manifest")


def test_a_name_without_a_tag_is_latest(store):
    store.references.set(Reference.parse("busybox"), ONE)
    assert store.references.get(Reference.parse("docker.io/library/busybox:latest")) == ReferenceRecord(
        Reference.parse("busybox:latest"), ONE
    )


def test_a_name_moves_and_tells_where_it_was(store):
    assert store.references.set(Reference.parse("app:1"), ONE) is None
    assert store.references.set(Reference.parse("app:1"), OTHER) == ONE
    assert store.references.names_of(ONE) == ()


def test_a_name_with_tag_and_digest_is_kept_as_its_tag(store):
    store.references.set(Reference.parse(f"app:1@{MANIFEST}"), ONE)
    assert store.references.list() == [ReferenceRecord(Reference.parse("app:1"), ONE, MANIFEST)]


def test_a_digest_finds_the_tag_that_has_it(store):
    store.references.set(Reference.parse("app:1"), ONE, manifest=MANIFEST)
    found = store.references.get(Reference.parse(f"app@{MANIFEST}"))
    assert found is not None
    assert found.name == Reference.parse("app:1")
    assert store.references.get(Reference.parse(f"other@{MANIFEST}")) is None


def test_an_underscore_in_a_name_is_no_wildcard(store):
    store.references.set(Reference.parse("axb:1"), ONE, manifest=MANIFEST)
    assert store.references.get(Reference.parse(f"a_b@{MANIFEST}")) is None


def test_removing_gives_the_image_and_then_says_that_there_is_no_such_name(store):
    store.references.set(Reference.parse("app"), ONE)
    assert store.references.remove(Reference.parse("app")) == ONE
    with pytest.raises(UnknownName, match="app:latest"):
        store.references.remove(Reference.parse("app"))


def test_names_are_listed_in_order(store):
    for name in ("b:1", "a:2", "a:1"):
        store.references.set(Reference.parse(name), ONE)
    assert [record.name.familiar for record in store.references.names_of(ONE)] == ["a:1", "a:2", "b:1"]
