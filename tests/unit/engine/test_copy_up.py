"""What an image has at a volume's place goes into the volume once, and no link leads anywhere else."""

from __future__ import annotations

import os
import stat

import pytest

from estiba.engine.monitor.copy_up import fill_volume


@pytest.fixture
def image(tmp_path):
    """A tree like an image's, with a directory /data."""
    root = tmp_path / "image"
    data = root / "data"
    (data / "sub").mkdir(parents=True)
    (data / "file").write_text("words")
    (data / "file").chmod(0o640)
    os.utime(data / "file", (1, 2))
    os.link(data / "file", data / "same")
    (data / "sub" / "deep").write_bytes(b"x" * 3_000_000)
    os.symlink("/etc/passwd", data / "link")
    os.mkfifo(data / "pipe")
    os.setxattr(data / "file", "user.mark", b"1")
    data.chmod(0o750)
    return root


@pytest.fixture
def volume(tmp_path):
    place = tmp_path / "volume"
    place.mkdir()
    return place


def test_everything_comes_along(image, volume):
    assert fill_volume(str(image), "/data", str(volume))
    assert sorted(os.listdir(volume)) == ["file", "link", "pipe", "same", "sub"]
    status = os.stat(volume / "file")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o640, 2, 2)
    assert (volume / "sub" / "deep").read_bytes() == b"x" * 3_000_000
    assert os.readlink(volume / "link") == "/etc/passwd"
    assert os.getxattr(volume / "file", "user.mark") == b"1"
    assert stat.S_ISFIFO(os.stat(volume / "pipe").st_mode)
    assert stat.S_IMODE(os.stat(volume).st_mode) == 0o750


def test_a_volume_with_something_in_it_is_left_alone(image, volume):
    (volume / "own").write_text("mine")
    assert not fill_volume(str(image), "/data", str(volume))
    assert os.listdir(volume) == ["own"]


def test_where_the_image_has_nothing_the_volume_stays_empty(image, volume):
    for place in ("/nothing", "/data/file"):
        assert not fill_volume(str(image), place, str(volume))


def test_a_link_leads_to_a_place_inside_the_image_or_nowhere(image, volume, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("of the host")
    os.symlink(str(tmp_path / "outside"), image / "escape")
    os.symlink("../../../../../../../data/sub", image / "inner")
    assert not fill_volume(str(image), "/escape", str(volume))
    assert fill_volume(str(image), "/inner", str(volume))
    assert os.listdir(volume) == ["deep"]
