"""Bind mounts that show other owners than the disk has: uidMappings, gidMappings, `idmap` and `ridmap`."""

from __future__ import annotations

import os

import pytest

from estiba.runtime.spec import IdMapping

pytestmark = pytest.mark.root

MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]


@pytest.fixture
def source(tmp_path) -> str:
    """A directory with files of root's and of user 1000, and a mount of its own below."""
    directory = tmp_path / "source"
    directory.mkdir()
    for name, owner in (("root", 0), ("user", 1000)):
        (directory / name).touch()
        os.chown(directory / name, owner, owner)
    return str(directory)


def _mount(source, *options, **more):
    mount = {"destination": "/data", "type": "bind", "source": source, "options": ["bind", *options], **more}
    return lambda config: config["mounts"].append(mount)


def test_a_mount_has_owners_by_its_own_map(box, source):
    """On disk root's and 1000's; in the container 100000's and 101000's."""
    done = box.run("stat -c %u:%g /data/root /data/user", _mount(source, uidMappings=MAP, gidMappings=MAP))
    assert done.stdout.split() == ["100000:100000", "101000:101000"], done.stderr


def test_what_is_written_through_the_map_belongs_to_the_other_on_disk(box, source):
    os.chmod(source, 0o777)
    done = box.run("touch /data/made", _mount(source, uidMappings=MAP, gidMappings=MAP), uid=100007, gid=100007)
    assert done.returncode == 0, done.stderr
    info = os.stat(os.path.join(source, "made"))
    assert (info.st_uid, info.st_gid) == (7, 7)


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_the_map_of_the_container_is_the_usual_one(box, source, option):
    """With a user namespace and no map of its own, root on disk is the container's root: no chown is needed."""
    ids = (IdMapping(0, 100000, 65536),)
    os.chown(box.rootfs, 100000, 100000)
    above = source
    while above != "/":
        os.chmod(above, os.stat(above).st_mode | 0o001)
        above = os.path.dirname(above)
    done = box.run(
        "stat -c %u:%g /data/root /data/user; touch /data/made",
        _mount(source, option),
        uid_mappings=ids,
        gid_mappings=ids,
    )
    assert done.stdout.split() == ["0:0", "1000:1000"], done.stderr
    assert os.stat(os.path.join(source, "made")).st_uid == 0


def test_a_file_can_have_mapped_ids(box, source):
    done = box.run("stat -c %u /data", _mount(os.path.join(source, "root"), uidMappings=MAP, gidMappings=MAP))
    assert done.stdout == "100000\n", done.stderr


def test_other_options_hold_too(box, source):
    done = box.run("touch /data/x", _mount(source, "ro", uidMappings=MAP, gidMappings=MAP))
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"uidMappings": MAP}, "both uidMappings and gidMappings"),
        ({"options": ["bind", "idmap"]}, "there is no map"),
        ({"type": "tmpfs", "options": [], "uidMappings": MAP, "gidMappings": MAP}, "only a bind mount"),
        ({"source": "/proc", "uidMappings": MAP, "gidMappings": MAP}, "cannot map ids"),
        ({"uidMappings": [MAP[0], MAP[0]], "gidMappings": MAP}, "was refused"),
    ],
)
def test_what_cannot_be_mapped_is_refused(box, source, change, fact):
    def add(config):
        mount = {"destination": "/data", "type": "bind", "source": source, "options": ["bind"], **change}
        config["mounts"].append(mount)

    done = box.run("true", add)
    assert done.returncode != 0
    assert fact in done.stderr
