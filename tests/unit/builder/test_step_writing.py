"""Writing into a root that an attacker has prepared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from estiba.builder.step.writing import RootWriter
from estiba.errors import InvalidInput


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("safe")
    return tmp_path / "root"


def test_links_out_of_the_root_lead_to_places_inside_of_it(root: Path) -> None:
    os.symlink(root.parent / "outside", root / "absolute")
    os.symlink("../outside", root / "relative")
    os.makedirs(str(root) + str(root.parent / "outside"))
    os.makedirs(root / "outside")
    with RootWriter(str(root)) as writer:
        writer.file("/absolute/victim", 0o644, (0, 0), 0, b"one")
        writer.file("/relative/victim", 0o644, (0, 0), 0, b"two")
        writer.file("/../../../../outside/third", 0o644, (0, 0), 0, b"three")
    assert (root.parent / "outside" / "victim").read_text() == "safe"
    assert (root / "outside" / "victim").read_text() == "two"
    assert (root / "outside" / "third").read_text() == "three"
    assert sorted(os.listdir(root.parent / "outside")) == ["victim"]


def test_a_file_takes_the_place_of_a_link_instead_of_writing_through_it(root: Path) -> None:
    os.symlink(root.parent / "outside" / "victim", root / "config")
    with RootWriter(str(root)) as writer:
        writer.file("/config", 0o600, (0, 0), 0, b"new")
    assert not (root / "config").is_symlink()
    assert (root.parent / "outside" / "victim").read_text() == "safe"


def test_a_link_to_nothing_is_no_parent_directory(root: Path) -> None:
    os.symlink("nowhere", root / "dir")
    with RootWriter(str(root)) as writer, pytest.raises(InvalidInput, match="leads nowhere"):
        writer.file("/dir/file", 0o644, (0, 0), 0, b"")


def test_files_and_directories_do_not_replace_each_other(root: Path) -> None:
    (root / "d").mkdir()
    (root / "f").write_text("f")
    with RootWriter(str(root)) as writer:
        with pytest.raises(InvalidInput, match="there is a directory of that name"):
            writer.file("/d", 0o644, (0, 0), 0, b"")
        with pytest.raises(InvalidInput, match="there is a file of that name"):
            writer.directory("/f", 0o755, (0, 0), 0)
        with pytest.raises(InvalidInput, match="is not a directory"):
            writer.file("/f/x", 0o644, (0, 0), 0, b"")


def test_times_and_modes_are_what_was_asked_whatever_the_umask(root: Path) -> None:
    before = os.umask(0o077)
    try:
        with RootWriter(str(root), epoch=315532800) as writer:
            writer.file("/a/b", 0o666, (0, 0), 5, b"x")
            writer.link("/a/l", "b", (0, 0), 5)
    finally:
        os.umask(before)
    facts = {
        name: ((root / name).lstat().st_mode & 0o7777, (root / name).lstat().st_mtime) for name in ("a", "a/b", "a/l")
    }
    assert facts == {"a": (0o755, facts["a"][1]), "a/b": (0o666, 315532800.0), "a/l": (0o777, 315532800.0)}
