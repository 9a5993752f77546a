"""Every blob store keeps the promises of `BlobStore`; the fake too."""

from __future__ import annotations

import hashlib

import pytest

from estiba.oci.digest import Digest
from estiba.store.blobs.base import BlobInfo, BlobNotFound, BlobStore, DigestMismatch, SizeMismatch, TooLarge
from estiba.store.blobs.directory import DirectoryBlobs
from estiba.store.blobs.memory import MemoryBlobs
from estiba.store.scratch import Scratch

DATA = b"cargo laid in layers" * 1000


@pytest.fixture(params=["directory", "memory"])
def blobs(request, tmp_path) -> BlobStore:
    if request.param == "memory":
        return MemoryBlobs()
    (tmp_path / "tmp").mkdir()
    return DirectoryBlobs(str(tmp_path / "blobs"), Scratch(str(tmp_path / "tmp")))


def test_a_blob_is_found_under_the_digest_of_its_bytes(blobs):
    digest = blobs.put(DATA)
    assert digest == Digest.of(DATA)
    assert blobs.has(digest)
    assert blobs.size(digest) == len(DATA)
    assert blobs.read(digest, limit=len(DATA)) == DATA
    with blobs.open(digest) as file:
        assert file.read() == DATA
    assert list(blobs.list()) == [digest]


def test_a_blob_written_in_pieces_is_one_blob(blobs):
    with blobs.writer(expected=Digest.of(DATA), size=len(DATA)) as writer:
        for start in range(0, len(DATA), 777):
            writer.write(memoryview(DATA)[start : start + 777])
        assert writer.commit() == BlobInfo(Digest.of(DATA), len(DATA))
    assert blobs.read(Digest.of(DATA), limit=1 << 20) == DATA


def test_a_blob_is_not_there_before_its_commit(blobs):
    with blobs.writer() as writer:
        writer.write(DATA)
        assert not blobs.has(Digest.of(DATA))
        assert list(blobs.list()) == []
        writer.commit()
    assert blobs.has(Digest.of(DATA))


def test_what_is_not_committed_leaves_nothing(blobs):
    with blobs.writer() as writer:
        writer.write(DATA)
    assert list(blobs.list()) == []


def test_an_error_within_the_block_leaves_nothing(blobs):
    with pytest.raises(RuntimeError), blobs.writer() as writer:
        writer.write(DATA)
        raise RuntimeError
    assert list(blobs.list()) == []


def test_other_bytes_than_promised_are_refused_and_not_kept(blobs):
    with blobs.writer(expected=Digest.of(b"other")) as writer, pytest.raises(DigestMismatch) as caught:
        writer.write(DATA)
        writer.commit()
    assert str(Digest.of(b"other")) in caught.value.message
    assert str(Digest.of(DATA)) in caught.value.message
    assert list(blobs.list()) == []


def test_fewer_bytes_than_promised_are_refused_and_not_kept(blobs):
    with blobs.writer(size=len(DATA) + 1) as writer, pytest.raises(SizeMismatch):
        writer.write(DATA)
        writer.commit()
    assert list(blobs.list()) == []


def test_more_bytes_than_promised_are_refused_at_once(blobs):
    with blobs.writer(size=10) as writer, pytest.raises(SizeMismatch):
        writer.write(DATA)
    assert list(blobs.list()) == []


def test_the_same_blob_twice_is_one(blobs):
    blobs.put(DATA)
    with blobs.writer(expected=Digest.of(DATA)) as writer:
        writer.write(DATA)
        writer.commit()
    assert list(blobs.list()) == [Digest.of(DATA)]


def test_two_writers_of_the_same_blob_do_not_disturb_each_other(blobs):
    with blobs.writer() as one, blobs.writer() as other:
        one.write(DATA)
        other.write(DATA)
        one.commit()
        other.commit()
    assert blobs.read(Digest.of(DATA), limit=1 << 20) == DATA


def test_an_empty_blob_is_a_blob(blobs):
    assert blobs.read(blobs.put(b""), limit=0) == b""


def test_a_sha512_digest_is_verified_as_such(blobs):
    digest = Digest("sha512", hashlib.sha512(DATA).hexdigest())
    with blobs.writer(expected=digest) as writer:
        writer.write(DATA)
        assert writer.commit().digest == digest
    assert blobs.read(digest, limit=1 << 20) == DATA


def test_reading_what_is_not_there_says_so(blobs):
    absent = Digest.of(b"absent")
    for read in (blobs.size, blobs.open, lambda digest: blobs.read(digest, limit=1)):
        with pytest.raises(BlobNotFound, match=absent.hex):
            read(absent)


def test_a_blob_over_the_limit_is_not_read(blobs):
    with pytest.raises(TooLarge):
        blobs.read(blobs.put(DATA), limit=len(DATA) - 1)


def test_a_removed_blob_is_gone_and_tells_what_it_freed(blobs):
    digest = blobs.put(DATA)
    assert blobs.delete(digest) == len(DATA)
    assert blobs.delete(digest) == 0
    assert not blobs.has(digest)


def test_a_blob_that_the_disk_has_altered_is_not_believed(blobs):
    digest = blobs.put(DATA)
    if isinstance(blobs, MemoryBlobs):
        blobs.damage(digest, b"x" + DATA[1:])
    else:
        import os

        os.chmod(blobs.path(digest), 0o600)
        with open(blobs.path(digest), "r+b") as file:
            file.write(b"x")
    with pytest.raises(DigestMismatch):
        blobs.read(digest, limit=1 << 20)
