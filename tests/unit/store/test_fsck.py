"""What is wrong with a store is named, thing by thing."""

from __future__ import annotations

import os

import pytest

import archives
from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.store.fsck import Problem, check
from estiba.store.images import ImageRecord

LAYER = b"layer"
DIFF_ID = Digest.of(LAYER)


@pytest.fixture
def image(store) -> ImageRecord:
    store.snapshots.prepare("work", None)
    store.snapshots.commit("work", chain_id=DIFF_ID, diff_id=DIFF_ID, size=5)
    record = ImageRecord(store.blobs.put(archives.config_of([LAYER]).raw), None, 0, 5)
    store.images.add(record)
    store.references.set(Reference.parse("app:1"), record.id)
    return record


def test_a_sound_store_has_no_problem_and_no_garbage(store, image):
    report = check(store)
    assert report.problems == ()
    assert report.garbage.removals == ()
    assert (report.images, report.names, report.blobs, report.snapshots) == (1, 1, 1, 1)


def test_garbage_is_counted_and_is_no_problem(store, image):
    store.blobs.put(b"unused")
    report = check(store)
    assert report.problems == ()
    assert report.garbage.size == 6


def test_a_missing_configuration(store, image):
    store.blobs.delete(image.id)
    assert check(store).problems == (Problem(f"image {image.id}", "its configuration is missing"),)


def test_a_missing_layer(store, image):
    store.snapshots.remove(DIFF_ID)
    assert check(store).problems == (Problem(f"image {image.id}", f"layer 1 of 1 is missing: snapshot {DIFF_ID}"),)


def test_a_missing_directory(store, image):
    (directory,) = store.snapshots.directories(DIFF_ID)
    os.rmdir(directory)
    assert check(store).problems == (Problem(f"snapshot {DIFF_ID}", f"its directory is missing: {directory}"),)


def test_a_name_of_nothing(store, image):
    store.images.remove(image.id)
    assert check(store).problems == (Problem("name app:1", f"means image {image.id}, which is not there"),)


def test_a_file_among_the_blobs_that_is_none(store, image):
    path = f"{store.paths.blobs}/sha256/notes.txt"
    with open(path, "w") as file:
        file.write("x")
    assert check(store).problems == (Problem(path, "is no blob, but lies among them"),)
