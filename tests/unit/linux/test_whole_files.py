"""What is being written is seen whole or not at all, and never takes the place of a device or a pipe."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from estiba.errors import InvalidInput
from estiba.linux.whole_files import WholeFile


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with WholeFile(str(path), mode=0o600) as out:
        out.write(b"new")
        out.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), WholeFile(str(path)) as out:
        out.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, WholeFile(str(tmp_path / "file")) as out:
        os.close(out.fileno())  # what it has buffered cannot be written at the end
        out.write(b"data")
    assert caught.value.errno == errno.EBADF and os.listdir(tmp_path) == []


def test_a_pipe_keeps_its_place_and_gets_all(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    with WholeFile(str(path)) as out:
        out.write(b"content")
    reader.join()
    assert got == [b"content"] and stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "said"), [("directory", "it is a directory"), ("missing/file", "there is no directory")]
)
def test_where_no_file_can_be_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(InvalidInput, match=said), WholeFile(str(tmp_path / name)):
        raise AssertionError("it was opened")
