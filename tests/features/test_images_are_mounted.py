"""`estiba image mount`: the files of an image at a directory, until they are taken away."""

from __future__ import annotations

import os

import pytest

from estiba.linux.mountpoints import is_mounted

pytestmark = pytest.mark.root("it mounts on the host")


@pytest.fixture
def home(estiba_home, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /one\n")
    (tmp_path / "Second").write_text("FROM one\nCOPY Dockerfile /two\n")
    estiba_home.estiba("build", "-q", "-t", "one", str(tmp_path))
    estiba_home.estiba("build", "-q", "-t", "two", "-f", str(tmp_path / "Second"), str(tmp_path))
    yield estiba_home
    estiba_home.estiba("image", "unmount", "-af")


def listed(home) -> list[str]:
    return home.estiba("image", "mount", "--format", "{{.Image}} {{.Directory}}").stdout.splitlines()


@pytest.mark.parametrize(("name", "files"), [("one", ["one"]), ("two", ["one", "two"])])
def test_the_files_are_there_read_only_until_they_are_taken_away(home, name, files):
    directory = home.estiba("image", "mount", name).stdout.strip()
    assert sorted(os.listdir(directory)) == files
    with pytest.raises(OSError, match="Read-only file system"):
        open(f"{directory}/new", "w")
    assert home.estiba("image", "mount", name).stdout.strip() == directory, "once is enough"
    assert listed(home) == [f"{name}:latest {directory}"]
    assert home.estiba("image", "unmount", name).stdout == f"{name}\n"
    assert not os.path.exists(directory)
    assert listed(home) == []


def test_a_mounted_image_is_not_removed(home, tmp_path):
    place = str(tmp_path / "place")
    home.estiba("image", "mount", "two", place)
    refused = home.estiba("rmi", "two", check=False)
    assert (refused.returncode, f"image two is mounted at {place}" in refused.stderr) == (1, True)
    home.estiba("gc")
    home.estiba("prune", "-af")
    assert sorted(os.listdir(place)) == ["one", "two"]
    home.estiba("image", "umount", place)
    home.estiba("rmi", "two")


def test_a_directory_in_use_is_refused_and_a_busy_one_stays(home, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    refused = home.estiba("image", "mount", "one", str(tmp_path / "full"), check=False)
    assert (refused.returncode, "is in use" in refused.stderr) == (1, True)
    place = home.estiba("image", "mount", "one", str(tmp_path / "place")).stdout.strip()
    descriptor = os.open(place, os.O_RDONLY)
    try:
        busy = home.estiba("image", "unmount", "one", check=False)
        assert (busy.returncode, "is in use" in busy.stderr, is_mounted(place)) == (1, True, True)
        home.estiba("image", "unmount", "--force", "one")
        assert not is_mounted(place) if os.path.exists(place) else True
    finally:
        os.close(descriptor)
    missing = home.estiba("image", "unmount", "one", check=False)
    assert (missing.returncode, "one is not mounted" in missing.stderr) == (1, True)


def test_what_a_reboot_took_away_is_forgotten(home, tmp_path):
    place = home.estiba("image", "mount", "one", str(tmp_path / "place")).stdout.strip()
    from estiba.linux.mountpoints import unmount

    unmount(place)  # as a reboot does
    assert listed(home) == []
    home.estiba("rmi", "-f", "two", "one")


def test_a_directory_that_was_there_before_stays(home, tmp_path):
    place = tmp_path / "mine"
    place.mkdir(mode=0o700)
    home.estiba("image", "mount", "one", str(place))
    assert listed(home) == [f"one:latest {place}"]
    home.estiba("image", "unmount", str(place))
    assert (os.listdir(place), place.stat().st_mode & 0o777) == ([], 0o700)
    home.estiba("image", "mount", "one", str(tmp_path / "new"))
    home.estiba("image", "unmount", "-a")
    assert not (tmp_path / "new").exists()
    home.estiba("rmi", "-f", "two", "one")
