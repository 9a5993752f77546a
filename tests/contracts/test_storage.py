"""What every storage of the registry promises (`estiba.registry.server.storage.base`)."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from estiba.oci.digest import Digest
from estiba.registry.server.storage.base import (
    DigestMismatch,
    Storage,
    StoredBlob,
    UnknownBlob,
    UnknownUpload,
    UploadTakenOver,
)
from estiba.registry.server.storage.directory import DirectoryStorage
from estiba.registry.server.storage.memory import MemoryStorage


@pytest.fixture(params=["directory", "memory"])
def storage(request, tmp_path) -> Storage:
    return DirectoryStorage(str(tmp_path / "storage")) if request.param == "directory" else MemoryStorage()


def upload(storage: Storage, session: str, *parts: bytes) -> None:
    storage.create_upload(session)
    writer = storage.open_upload(session)
    for part in parts:
        writer.append(part)


def read(storage: Storage, digest: Digest) -> bytes:
    with storage.open(digest) as file:
        return file.read()


def test_an_upload_becomes_a_blob(storage):
    upload(storage, "s", b"one ", b"two")
    digest = Digest.of(b"one two")
    assert storage.upload_size("s") == 7
    assert not storage.has(digest)
    assert storage.store("s", digest) == 7
    storage.discard_upload("s")
    assert storage.has(digest)
    assert read(storage, digest) == b"one two"
    assert list(storage.blobs()) == [StoredBlob(digest, 7)]
    assert list(storage.uploads()) == []


def test_an_upload_is_continued_where_it_stopped(storage):
    upload(storage, "s", b"one ")
    writer = storage.open_upload("s")
    assert writer.size == 4
    writer.append(b"two")
    assert storage.store("s", Digest.of(b"one two")) == 7


def test_wrong_bytes_are_not_stored(storage):
    upload(storage, "s", b"wrong")
    with pytest.raises(DigestMismatch, match="after 5 bytes"):
        storage.store("s", Digest.of(b"right"))
    storage.discard_upload("s")
    assert list(storage.blobs()) == []


def test_sha512_is_verified_too(storage):
    digest = Digest("sha512", hashlib.sha512(b"data").hexdigest())
    upload(storage, "s", b"data")
    assert storage.store("s", digest) == 4
    assert read(storage, digest) == b"data"
    upload(storage, "t", b"other")
    with pytest.raises(DigestMismatch):
        storage.store("t", digest)


def test_what_was_cut_off_does_not_count(storage):
    upload(storage, "s", b"one ", b"wrong")
    writer = storage.open_upload("s")
    writer.truncate(4)
    writer.append(b"two")
    assert storage.store("s", Digest.of(b"one two")) == 7


def test_the_last_who_opened_an_upload_holds_it(storage):
    upload(storage, "s")
    first, second = storage.open_upload("s"), storage.open_upload("s")
    with pytest.raises(UploadTakenOver):
        first.append(b"late")
    second.append(b"mine")
    assert storage.upload_size("s") == 4
    storage.store("s", Digest.of(b"mine"))
    with pytest.raises((UploadTakenOver, UnknownUpload)):
        second.append(b"late")
    assert read(storage, Digest.of(b"mine")) == b"mine"


def test_a_stored_upload_is_over(storage):
    upload(storage, "s", b"data")
    storage.store("s", Digest.of(b"data"))
    for ask in (storage.open_upload, storage.upload_size):
        with pytest.raises(UnknownUpload):
            ask("s")


def test_an_upload_that_was_discarded_is_over(storage):
    upload(storage, "s", b"data")
    writer = storage.open_upload("s")
    storage.discard_upload("s")
    storage.discard_upload("s")
    with pytest.raises((UnknownUpload, UploadTakenOver)):
        writer.append(b"more")
    with pytest.raises(UnknownUpload):
        storage.store("s", Digest.of(b"data"))


def test_a_blob_that_is_not_there_is_unknown(storage):
    with pytest.raises(UnknownBlob):
        storage.open(Digest.of(b"nothing"))


def test_the_same_blob_stored_by_many_at_once_is_there_once(storage):
    data = os.urandom(100_000)

    def store(number: int) -> int:
        upload(storage, f"s{number}", data)
        size = storage.store(f"s{number}", Digest.of(data))
        storage.discard_upload(f"s{number}")
        return size

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(store, range(16))) == {len(data)}
    assert list(storage.blobs()) == [StoredBlob(Digest.of(data), len(data))]


def test_a_hidden_blob_can_be_brought_back_or_destroyed(storage):
    for data in (b"back", b"gone"):
        upload(storage, data.decode(), data)
        storage.store(data.decode(), Digest.of(data))
        storage.discard_upload(data.decode())
        storage.hide(Digest.of(data))
    assert list(storage.blobs()) == []
    assert set(storage.hidden()) == {Digest.of(b"back"), Digest.of(b"gone")}
    storage.reveal(Digest.of(b"back"))
    storage.destroy(Digest.of(b"gone"))
    storage.destroy(Digest.of(b"gone"))
    assert read(storage, Digest.of(b"back")) == b"back"
    assert [blob.digest for blob in storage.blobs()] == [Digest.of(b"back")]
    assert list(storage.hidden()) == []


def test_a_push_that_meets_gc_puts_its_bytes_back(storage):
    upload(storage, "s", b"data")
    storage.store("s", Digest.of(b"data"))
    storage.hide(Digest.of(b"data"))
    storage.destroy(Digest.of(b"data"))
    storage.restore("s", Digest.of(b"data"))
    storage.discard_upload("s")
    assert read(storage, Digest.of(b"data")) == b"data"


def test_uploads_are_listed_with_their_sizes(storage):
    upload(storage, "s", b"data")
    [found] = storage.uploads()
    assert (found.session, found.size) == ("s", 4)
    assert found.touched > 0


def test_a_directory_is_verified_after_a_restart(tmp_path):
    """The hash of what came before is gone with the process: the bytes are read again."""
    upload(DirectoryStorage(str(tmp_path)), "s", b"one ")
    later = DirectoryStorage(str(tmp_path))
    later.open_upload("s").append(b"two")
    with pytest.raises(DigestMismatch):
        later.store("s", Digest.of(b"two"))
    upload(DirectoryStorage(str(tmp_path)), "t", b"one ")
    again = DirectoryStorage(str(tmp_path))
    again.open_upload("t").append(b"two")
    assert again.store("t", Digest.of(b"one two")) == 7
