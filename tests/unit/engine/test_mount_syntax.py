"""``--mount`` and ``--tmpfs`` in every form of Docker's, and what is none."""

from __future__ import annotations

import pytest

from estiba.engine.mount_syntax import parse_mount, parse_tmpfs
from estiba.engine.options import VolumeMount
from estiba.errors import EstibaError, NotThereYet

BIND = VolumeMount("bind", "/t", "/s", options=("rbind",))


def mount(text: str) -> VolumeMount:
    return parse_mount(text, current_directory="/here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source=/s", BIND),
        ("src=s,consistency=cached", BIND._replace(source="/here/s")),
        ("src=/s,ro", BIND._replace(read_only=True)),
        ("src=/s,readonly=false", BIND),
        ("src=/s,bind-propagation=rslave", BIND._replace(options=("rbind", "rslave"))),
        ("src=/s,bind-recursive=disabled", BIND._replace(options=("bind",))),
        ("src=/s,bind-nonrecursive", BIND._replace(options=("bind",))),
        ("src=/s,ro,bind-recursive=writable", BIND._replace(read_only=True, only_top_read_only=True)),
        (
            "src=/s,ro,bind-recursive=readonly,bind-propagation=rprivate",
            BIND._replace(read_only=True, options=("rbind", "rprivate")),
        ),
        ('"src=/a,b",ro', BIND._replace(source="/a,b", read_only=True)),
    ],
)
def test_a_bind_in_every_form(text, expected):
    assert mount(f"type=bind,target=/t,{text}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dst=/t", VolumeMount("volume", "/t")),
        ("dst=/t,src=vol,volume-nocopy", VolumeMount("volume", "/t", "vol", copy_up=False)),
        ("type=volume,dst=/t,src=vol,volume-subpath=a/b/", VolumeMount("volume", "/t", "vol", subpath="a/b")),
        (
            "dst=/t,src=vol,volume-label=a=b,volume-label=c,volume-driver=local",
            VolumeMount("volume", "/t", "vol", labels=(("a", "b"), ("c", ""))),
        ),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
            VolumeMount("tmpfs", "/t", options=("size=1m", "mode=1770")),
        ),
    ],
)
def test_volumes_and_places_in_memory_in_every_form(text, expected):
    assert mount(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "type=bind,dst=/t",
        "type=bind,src=/s",
        "type=bind,src=/s,dst=t",
        "type=bind,src=/s,dst=/",
        "type=bind,src=/s,dst=/t,bind-propagation=everywhere",
        "type=bind,src=/s,dst=/t,bind-recursive=perhaps",
        "type=bind,src=/s,dst=/t,bind-recursive=readonly",
        "type=bind,src=/s,dst=/t,ro,bind-recursive=readonly",
        "type=bind,src=/s,dst=/t,volume-nocopy",
        "type=bind,src=/s,dst=/t,source",
        "type=bind,src=/s,dst=/t,ro=perhaps",
        "type=volume,src=/s,dst=/t",
        "type=volume,src=vol,dst=/t,volume-subpath=../x",
        "type=volume,src=vol,dst=/t,volume-subpath=/x",
        "type=volume,src=vol,dst=/t,volume-opt=type=nfs",
        "type=volume,src=vol,dst=/t,volume-driver=nfs",
        "type=tmpfs,src=x,dst=/t",
        "type=tmpfs,dst=/t,tmpfs-size=much",
        "type=tmpfs,dst=/t,tmpfs-mode=rwx",
        "type=tmpfs,dst=/t,bind-propagation=slave",
        "type=disk,dst=/t",
        "type=image,src=i,dst=/t",
        '"type=bind,src=/s',
    ],
)
def test_what_cannot_be_mounted_is_refused(text):
    with pytest.raises(EstibaError) as told:
        mount(text)
    assert text.strip('"')[:9] in told.value.message or told.value.remedy


def test_what_docker_has_and_estiba_lacks_is_named():
    for text in ("type=image,src=i,dst=/t", "type=volume,dst=/t,volume-opt=type=nfs"):
        with pytest.raises(NotThereYet):
            mount(text)


@pytest.mark.parametrize("options", ["size=10%", "size=64m,mode=1777,uid=1,gid=2,exec", "nr_inodes=10k,ro,noatime"])
def test_options_of_a_place_in_memory_are_kept(options):
    assert parse_tmpfs(f"/t:{options}").options == tuple(options.split(","))


@pytest.mark.parametrize("option", ["size=0", "size=-1", "mode=9", "uid=root", "nr_inodes=many", "lowerdir=/", "bind"])
def test_other_options_are_not_passed_to_the_kernel(option):
    with pytest.raises(EstibaError):
        parse_tmpfs(f"/t:{option}")
