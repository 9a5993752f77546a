"""Walking inside a root: no link leads out, and what lacks is made inside."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiba.linux.paths import IN_ROOT_NO_LINKS, make_directories, make_file, open_in_root, open_regular


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    descriptor = os.open(tmp_path / "root", os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("target", ["/outside", "../outside", "../../../../outside", "outside"])
def test_directories_behind_a_link_are_made_inside(root: int, tmp_path: Path, target: str) -> None:
    os.symlink(target, tmp_path / "root/link")
    os.close(make_directories(root, "/link/a/b"))
    assert (tmp_path / "root/outside/a/b").is_dir()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_chain_of_links_has_an_end(root: int, tmp_path: Path) -> None:
    os.symlink("two", tmp_path / "root/one")
    os.symlink("one", tmp_path / "root/two")
    with pytest.raises(OSError) as caught:
        make_directories(root, "/one/x")
    assert caught.value.errno == errno.ELOOP


def test_a_file_in_the_way_is_an_error(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/file").write_text("")
    with pytest.raises(NotADirectoryError):
        make_directories(root, "/file/x")


def test_links_can_be_forbidden(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/real").mkdir()
    os.symlink("real", tmp_path / "root/proc")
    with pytest.raises(OSError) as caught:
        make_directories(root, "/proc", resolve=IN_ROOT_NO_LINKS)
    assert caught.value.errno == errno.ELOOP


def test_a_file_is_made_with_its_directories_and_an_existing_one_stays(root: int, tmp_path: Path) -> None:
    os.close(make_file(root, "/a/b/file"))
    assert (tmp_path / "root/a/b/file").read_text() == ""
    (tmp_path / "root/a/b/file").write_text("kept")
    os.close(make_file(root, "/a/b/file"))
    assert (tmp_path / "root/a/b/file").read_text() == "kept"


def test_a_file_behind_a_dangling_link_is_made_inside(root: int, tmp_path: Path) -> None:
    os.symlink("/../../outside/file", tmp_path / "root/link")
    (tmp_path / "root/outside").mkdir()
    os.close(make_file(root, "/link"))
    assert (tmp_path / "root/outside/file").exists()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_magic_link_is_refused(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/proc").mkdir()
    outside = os.open("/", os.O_PATH)
    try:
        with pytest.raises(OSError):
            open_in_root(outside, f"/proc/self/fd/{root}", os.O_PATH)
    finally:
        os.close(outside)


def test_a_path_does_not_end_at_a_null_byte(root: int) -> None:
    """C would see another path than the one that was looked at."""
    for call in (lambda: open_in_root(root, "/\0x", os.O_PATH), lambda: make_directories(root, "/a\0b")):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EINVAL


def test_a_file_is_made_through_a_chain_of_links_only_inside(root: int, tmp_path: Path) -> None:
    os.symlink("/deep/er/two", tmp_path / "root/one")
    (tmp_path / "root/deep").mkdir()
    os.close(make_file(root, "/one"))
    assert (tmp_path / "root/deep/er/two").is_file()
    os.symlink(f"../../../../..{tmp_path}/outside/made", tmp_path / "root/out")
    os.close(make_file(root, "/out"))
    assert list((tmp_path / "outside").iterdir()) == []
    os.symlink("missing/..", tmp_path / "root/up")
    os.close(make_file(root, "/up"))


def test_only_a_regular_file_is_opened_as_one(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/file").write_text("content")
    os.symlink("file", tmp_path / "root/link")
    os.mkfifo(tmp_path / "root/pipe")
    (tmp_path / "root/directory").mkdir()
    with open(open_regular(root, "file"), "rb") as file:
        assert file.read() == b"content"
        assert not os.get_inheritable(file.fileno())
    for name in ("link", "pipe", "directory"):
        with pytest.raises(OSError) as caught:
            open_regular(root, name)
        assert caught.value.errno == errno.ESTALE
