"""The scratch space knows what belongs to nobody."""

from __future__ import annotations

import os

import pytest

from estiba.store.scratch import Scratch, size_on_disk


@pytest.fixture
def scratch(tmp_path) -> Scratch:
    return Scratch(str(tmp_path))


def test_what_its_writer_holds_is_not_abandoned(scratch):
    held = [scratch.file("blob")[0], scratch.folder("context")[0]]
    assert list(scratch.abandoned()) == []
    for descriptor in held:
        os.close(descriptor)
    assert len(list(scratch.abandoned())) == 2


def test_what_is_young_has_its_grace(scratch):
    descriptor, _ = scratch.file("blob")
    os.close(descriptor)
    assert list(scratch.abandoned(grace=3600)) == []


def test_links_and_pipes_that_somebody_left_are_seen_and_not_followed(scratch, tmp_path):
    os.symlink("/etc", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    assert sorted(os.path.basename(thing.path) for thing in scratch.abandoned()) == ["link", "pipe"]
    scratch.remove_abandoned({thing.path for thing in scratch.abandoned()})
    assert os.listdir(tmp_path) == []
    assert os.path.isdir("/etc")


def test_only_what_was_named_is_removed(scratch):
    descriptor, folder = scratch.folder("context")
    os.close(descriptor)
    with open(folder + "/file", "w") as file:
        file.write("x" * 5000)
    other, path = scratch.file("blob")
    os.close(other)
    scratch.remove_abandoned({folder})
    assert not os.path.exists(folder)
    assert os.path.exists(path)


def test_sizes_are_those_of_the_disk_and_count_a_hard_link_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10000)
    before = size_on_disk(str(tmp_path))
    os.link(tmp_path / "a", tmp_path / "b")
    assert size_on_disk(str(tmp_path)) == before
    assert size_on_disk(str(tmp_path / "absent")) == 0
