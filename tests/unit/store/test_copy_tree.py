"""A tree is copied as it is, and one that changes meanwhile leads the copy nowhere else."""

from __future__ import annotations

import os
import threading

import pytest

from estiba.store.snapshots.copy_tree import copy_tree
from trees import describe, names


@pytest.fixture
def tree(tmp_path):
    """`source` with a directory, files, links and a pipe, the empty `target`, and `outside` with a secret."""
    for name in ("source", "target", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret").write_text("of the host")
    source = tmp_path / "source"
    (source / "d" / "deep").mkdir(parents=True)
    (source / "d" / "file").write_text("content")
    (source / "d" / "deep" / "empty").write_text("")
    os.link(source / "d" / "file", source / "twin")
    (source / "link").symlink_to("d/file")
    (source / "lost").symlink_to("/nowhere")
    os.mkfifo(source / "pipe", 0o640)
    os.setxattr(source / "d" / "file", "user.one", b"1")
    os.setxattr(source / "d", "user.two", b"2")
    (source / "d" / "deep").chmod(0o1711)
    for path in (source / "d" / "deep", source / "d", source / "d" / "file", source / "link"):
        os.utime(path, (1, 1), follow_symlinks=False)
    return tmp_path


def test_everything_is_copied(tree):
    copy_tree(str(tree / "source"), str(tree / "target"))
    assert describe(tree / "target") == describe(tree / "source")


@pytest.mark.root
def test_owners_devices_and_attributes_of_links_are_copied(tree):
    os.chown(tree / "source" / "link", 3, 4, follow_symlinks=False)
    os.mknod(tree / "source" / "null", 0o020666, os.makedev(1, 3))
    os.setxattr(tree / "source" / "link", "trusted.mark", b"l", follow_symlinks=False)
    os.setxattr(tree / "source" / "pipe", "trusted.mark", b"p")
    copy_tree(str(tree / "source"), str(tree / "target"))
    assert describe(tree / "target") == describe(tree / "source")


def exchange(path, by) -> None:
    """What an attacker does between two looks: `path` becomes what `by` makes there."""
    os.rename(path, f"{path}.away")
    by(path)


def after(monkeypatch: pytest.MonkeyPatch, call: str, ending: str, act) -> None:
    """Do `act` once when `os.CALL` has been called for a path that ends with `ending`."""
    real = getattr(os, call)
    waiting = [act]

    def changed(path, *arguments, **options):
        found = real(path, *arguments, **options)
        if waiting and str(path).endswith(ending):
            waiting.pop()()
        return found

    monkeypatch.setattr(os, call, changed)


def test_a_directory_that_becomes_a_link_is_not_followed(tree, monkeypatch):
    victim = tree / "source" / "d"
    after(monkeypatch, "mkdir", "/d", lambda: exchange(victim, lambda path: os.symlink(tree / "outside", path)))
    with pytest.raises(OSError):
        copy_tree(str(tree / "source"), str(tree / "target"))
    assert not [name for name in names(tree / "target") if "secret" in name]


def test_a_directory_above_that_becomes_a_link_is_not_followed(tree, monkeypatch):
    (tree / "outside" / "deep").mkdir()
    (tree / "outside" / "deep" / "secret").write_text("of the host")
    victim = tree / "source" / "d"
    after(monkeypatch, "mkdir", "/d/deep", lambda: exchange(victim, lambda path: os.symlink(tree / "outside", path)))
    with pytest.raises(OSError):
        copy_tree(str(tree / "source"), str(tree / "target"))
    assert not [name for name in names(tree / "target") if "secret" in name]


def _to_secret(tree):
    return lambda path: os.symlink(tree / "outside" / "secret", path)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_file_that_becomes_something_else_is_not_opened(tree, monkeypatch, kind):
    by = _to_secret(tree) if kind == "link" else os.mkfifo
    after(monkeypatch, "stat", "twin", lambda: exchange(tree / "source" / "twin", by))
    told = []

    def copy() -> None:
        try:
            copy_tree(str(tree / "source"), str(tree / "target"))
        except OSError as error:
            told.append(error)

    copying = threading.Thread(target=copy, daemon=True)
    copying.start()
    copying.join(timeout=20)
    assert not copying.is_alive(), "it waits for somebody to write into the pipe"
    assert len(told) == 1
    assert not (tree / "target" / "twin").exists()


def test_a_file_that_grows_is_copied_as_long_as_it_was(tree, monkeypatch):
    def grow() -> None:
        with open(tree / "source" / "d" / "file", "a", encoding="ascii") as file:
            file.write("more" * 1000)

    after(monkeypatch, "open", "/d/file", grow)
    monkeypatch.setattr("estiba.store.snapshots.copy_tree._FICLONE", 0)  # a clone is of one moment
    copy_tree(str(tree / "source"), str(tree / "target"))
    copies = [(tree / "target" / name).read_text() for name in ("twin", "d/file")]
    assert copies == ["content", "content"]
