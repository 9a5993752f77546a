"""The change between two whole trees is what an overlay would have noted."""

from __future__ import annotations

import io
import os

import pytest

from estiba.layers.diff import COMPARE, IGNORE, RESTORE, changes_between
from estiba.layers.pack import diff_id_of, pack
from estiba.layers.tar.writer import TarPolicy
from estiba.layers.unpack import unpack
from trees import describe

EPOCH = 315_532_800


@pytest.fixture
def two(tmp_path):
    """A tree and its faithful copy, `base` and `tree`."""
    from estiba.store.snapshots.copy_tree import copy_tree

    base, tree = tmp_path / "base", tmp_path / "tree"
    (base / "d" / "e").mkdir(parents=True)
    (base / "d" / "f").write_text("content")
    (base / "d" / "e" / "g").write_text("x")
    os.link(base / "d" / "f", base / "hard")
    (base / "link").symlink_to("d/f")
    os.mkfifo(base / "pipe")
    for path in (base / "d" / "e", base / "d", base / "hard"):
        os.utime(path, (EPOCH, EPOCH))
    tree.mkdir()
    copy_tree(str(base), str(tree))
    return base, tree


def changes(two, times=COMPARE):
    found = changes_between(str(two[0]), str(two[1]), times=times)
    return sorted(map(os.fsdecode, found.changed)), sorted(map(os.fsdecode, found.deleted))


def test_a_copy_has_no_change(two):
    assert describe(two[0]) == describe(two[1])
    assert changes(two) == ([], [])


def test_a_change_brings_the_directories_on_its_way(two):
    (two[1] / "d" / "e" / "g").write_text("y")
    os.utime(two[1] / "d" / "e" / "g", (EPOCH, EPOCH))
    os.utime(two[0] / "d" / "e" / "g", (EPOCH, EPOCH))
    assert changes(two) == (["d", "d/e", "d/e/g"], [])


def test_a_deletion_is_told_once_for_a_whole_directory(two):
    (two[1] / "d" / "e" / "g").unlink()
    (two[1] / "d" / "e").rmdir()
    os.utime(two[1] / "d", (EPOCH, EPOCH))
    assert changes(two) == (["d"], ["d/e"])


def test_the_other_names_of_a_changed_file_are_changed(two):
    (two[1] / "d" / "f").write_text("changed")
    assert changes(two)[0] == ["d", "d/f", "hard"]


def test_a_new_name_brings_the_old_ones(two):
    os.link(two[1] / "d" / "f", two[1] / "new")
    assert changes(two)[0] == ["d", "d/f", "hard", "new"]


def test_a_directory_in_the_place_of_a_file_brings_all_that_is_in_it(two):
    (two[1] / "link").unlink()
    (two[1] / "link" / "a").mkdir(parents=True)
    (two[1] / "link" / "a" / "b").write_text("x")
    assert changes(two) == (["link", "link/a", "link/a/b"], [])


@pytest.mark.parametrize("change", ["mode", "target", "kind"])
def test_every_kind_of_change_is_seen(two, change):
    if change == "mode":
        os.chmod(two[1] / "pipe", 0o600)
        assert changes(two)[0] == ["pipe"]
    elif change == "target":
        (two[1] / "link").unlink()
        (two[1] / "link").symlink_to("d/g")
        assert changes(two)[0] == ["link"]
    else:
        (two[1] / "link").unlink()
        (two[1] / "link").write_text("d/f")
        assert changes(two)[0] == ["link"]


def test_a_time_alone_is_a_change_or_none_or_goes_back(two):
    os.utime(two[1] / "hard", (5, 5))
    assert changes(two)[0] == ["d", "d/f", "hard"]
    assert changes(two, IGNORE) == ([], [])
    assert os.stat(two[1] / "hard").st_mtime == 5
    assert changes(two, RESTORE) == ([], [])
    assert changes(two) == ([], [])


def test_a_layer_keeps_its_diff_id_after_its_times_were_set(two):
    """It is packed again when it is pushed, from the times on the disk."""
    (two[1] / "new").write_text("x")
    os.utime(two[1] / "d" / "e" / "g", (5, 5))
    (two[1] / "pipe").unlink()
    for path in two[0].rglob("*"):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    built = diff_id_of(str(two[1]), TarPolicy(EPOCH, set_times=True), base=str(two[0]))
    assert built.entries == 2  # new and the whiteout
    assert diff_id_of(str(two[1]), TarPolicy(), base=str(two[0])) == built


def test_a_change_applied_to_the_base_gives_the_tree(two, tmp_path):
    base, tree = two
    (tree / "d" / "f").write_text("changed")
    (tree / "pipe").unlink()
    (tree / "pipe").mkdir()
    (tree / "pipe" / "x").write_text("x")
    (tree / "d" / "e" / "g").unlink()
    os.rename(tree / "link", tree / "renamed")
    for path in [*tree.rglob("*"), *base.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    out = io.BytesIO()
    pack(str(tree), out, TarPolicy(), base=str(base), compression="none")
    unpack(io.BytesIO(out.getvalue()), str(base), whiteouts="delete")
    assert describe(base) == describe(tree)
