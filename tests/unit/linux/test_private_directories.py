"""What is made on the way to a private directory is as private; what was there stays as it was."""

from __future__ import annotations

import os
import stat

import pytest

from estiba.linux.private_directories import make_private


@pytest.fixture
def everybodys():
    """Files are for everybody, where nobody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_everything_that_was_missing_is_for_its_owner_alone(tmp_path, everybodys):
    (tmp_path / "there").mkdir(mode=0o755)
    for end in ("a/b/c", "a/b/d/"):
        make_private(f"{tmp_path}/there/{end}")
    assert [_mode(tmp_path / "there" / path) for path in ("", "a", "a/b", "a/b/c", "a/b/d")] == [0o755] + [0o700] * 4


def test_a_path_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_private("a/b")
    make_private("c")
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]


def test_something_else_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for path in ("file", "link"):
        with pytest.raises(FileExistsError):
            make_private(f"{tmp_path}/{path}")
        with pytest.raises(OSError):
            make_private(f"{tmp_path}/{path}/below")
