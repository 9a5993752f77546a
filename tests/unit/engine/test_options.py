"""Options are kept as JSON and come back as they were."""

from __future__ import annotations

import json

import pytest

from estiba.engine.mount_syntax import parse_mount, parse_tmpfs, parse_volume
from estiba.engine.options import (
    ContainerOptions,
    Limits,
    LogOptions,
    Naming,
    Security,
    Ulimit,
    VolumeMount,
)
from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.ports import PortMapping

EVERYTHING = ContainerOptions(
    image="busybox",
    command=("sh", "-c", "true"),
    entrypoint=(),
    name="one",
    env=("A=1",),
    labels=(("k", "v"),),
    groups=("audio",),
    tty=True,
    mounts=(VolumeMount("bind", "/in", "/out", True, ("rbind",)), VolumeMount("volume", "/data")),
    ports=(PortMapping(80, 8080),),
    network="none",
    naming=Naming(hostname="h", dns=("1.2.3.4",), add_hosts=(("a", "1.1.1.1"),)),
    limits=Limits(memory=1, ulimits=(Ulimit("nofile", 1, 2),)),
    security=Security(cap_add=("SYS_ADMIN",), read_only=True),
    sysctls=(("net.core.somaxconn", "5"),),
    restart=RestartPolicy("on-failure", 3),
    stop_timeout=0,
    logs=LogOptions(files=1),
)


@pytest.mark.parametrize("options", [ContainerOptions("busybox"), EVERYTHING])
def test_options_come_back_from_json_as_they_were(options):
    assert ContainerOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_only_what_differs_from_the_default_is_kept():
    assert ContainerOptions("busybox", tty=True).to_json() == {"image": "busybox", "tty": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", VolumeMount("volume", "/data")),
        ("name:/data", VolumeMount("volume", "/data", "name")),
        ("name:/data:ro,nocopy", VolumeMount("volume", "/data", "name", read_only=True, copy_up=False)),
        ("/out:/in/", VolumeMount("bind", "/in", "/out", options=("rbind",), make_source=True)),
        ("./out:/in:ro", VolumeMount("bind", "/in", "/here/out", True, ("rbind",), make_source=True)),
        ("/out:/in:rshared", VolumeMount("bind", "/in", "/out", options=("rbind", "rshared"), make_source=True)),
    ],
)
def test_a_volume_flag_is_read_as_docker_reads_it(text, expected):
    assert parse_volume(text, current_directory="/here") == expected


@pytest.mark.parametrize("text", ["", "a:b:c:d", "name:relative", "/out:/in:odd", "/out:/", "na me:/data", "::"])
def test_a_volume_flag_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_volume(text, current_directory="/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,src=/out,dst=/in,readonly", VolumeMount("bind", "/in", "/out", True, ("rbind",))),
        ("source=name,target=/data", VolumeMount("volume", "/data", "name")),
        ("type=volume,target=/data,volume-nocopy=true", VolumeMount("volume", "/data", copy_up=False)),
        (
            "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700",
            VolumeMount("tmpfs", "/t", options=("size=1m", "mode=700")),
        ),
    ],
)
def test_a_mount_flag_is_read_as_docker_reads_it(text, expected):
    assert parse_mount(text, current_directory="/") == expected


@pytest.mark.parametrize("text", ["type=npipe,target=/x", "type=volume,target=/x,volume-opt=o"])
def test_what_estiba_lacks_is_named(text):
    with pytest.raises(NotThereYet):
        parse_mount(text, current_directory="/")


def test_a_place_in_memory_takes_its_options():
    assert parse_tmpfs("/t:size=1m,exec") == VolumeMount("tmpfs", "/t", options=("size=1m", "exec"))
