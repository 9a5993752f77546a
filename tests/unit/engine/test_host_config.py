"""`inspect` shows what was asked for under Docker's names."""

from __future__ import annotations

import json

from estiba.engine.host_config import host_config
from estiba.engine.inherited import with_ids_of_others, with_mounts_of_others
from estiba.engine.options import BlockIo, ContainerOptions, Device, Limits, Security, Shared, VolumeMount
from estiba.engine.records import ContainerRecord

RECORD = ContainerRecord("a" * 64, "one", "i", "sha256:0", 0, "created", "{}", "{}", "")


def test_what_was_asked_for_has_dockers_names():
    options = ContainerOptions(
        "i",
        devices=(Device("/dev/fuse", "/dev/x", "r"),),
        device_rules=("c 1:3 r",),
        block_io=BlockIo(300, (("/dev/sda", 200),), read_bps=(("/dev/sda", 5),)),
        shared=Shared("host", "shareable", "host", "host"),
        cgroup_parent="/batch",
        limits=Limits(cpu_period=1000, cpu_quota=500, cpu_rt_period=9, cpu_rt_runtime=8, swappiness=0),
        security=Security(shows_system_paths=True, allow_new_privileges=True, seccomp='{\n"defaultAction": "A"}'),
        links=(("db", "store"),),
        volumes_from=("two:ro",),
        storage=(("size", "1g"),),
    )
    found = host_config(options, RECORD._replace(runtime='["/usr/bin/crun"]'))
    expected = {
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
        "DeviceCgroupRules": ["c 1:3 r"],
        "BlkioWeight": 300,
        "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 200}],
        "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 5}],
        "PidMode": "host",
        "IpcMode": "shareable",
        "UTSMode": "host",
        "CgroupnsMode": "host",
        "CgroupParent": "/batch",
        "CpuPeriod": 1000,
        "CpuQuota": 500,
        "CpuRealtimePeriod": 9,
        "CpuRealtimeRuntime": 8,
        "MemorySwappiness": 0,
        "SecurityOpt": ['seccomp={"defaultAction":"A"}', "no-new-privileges=false", "systempaths=unconfined"],
        "MaskedPaths": None,
        "ReadonlyPaths": None,
        "Links": ["/db:/one/store"],
        "VolumesFrom": ["two:ro"],
        "StorageOpt": {"size": "1g"},
        "Runtime": "crun",
    }
    assert {name: found[name] for name in expected} == expected
    json.dumps(found)


def test_short_mounts_are_binds_and_others_mounts():
    mounts = (
        VolumeMount("bind", "/a", "/x", True, ("rbind", "rslave"), make_source=True),
        VolumeMount("volume", "/b", "name"),
        VolumeMount("bind", "/c", "/y", True, ("bind",), only_top_read_only=True),
        VolumeMount("volume", "/d", "name", subpath="part", labels=(("k", "v"),), copy_up=False),
        VolumeMount("tmpfs", "/e", options=("size=1m",)),
    )
    found = host_config(ContainerOptions("i", mounts=mounts), RECORD)
    assert found["Binds"] == ["/x:/a:rslave,ro", "name:/b"]
    assert found["Tmpfs"] == {"/e": "size=1m"}
    settings = {"Propagation": "rprivate", "NonRecursive": True, "ReadOnlyNonRecursive": True}
    assert found["Mounts"] == [
        {"Type": "bind", "Source": "/y", "Target": "/c", "ReadOnly": True, "BindOptions": settings},
        {
            "Type": "volume",
            "Source": "name",
            "Target": "/d",
            "VolumeOptions": {"NoCopy": True, "Subpath": "part", "Labels": {"k": "v"}},
        },
    ]


def test_mounts_of_others_come_first_and_give_way_to_its_own():
    theirs = (
        VolumeMount("bind", "/a", "/x", options=("rbind",)),
        VolumeMount("bind", "/mine", "/y"),
        VolumeMount("volume", "/v", "", read_only=True),
        VolumeMount("tmpfs", "/t"),
    )
    other = RECORD._replace(options=json.dumps(ContainerOptions("i", mounts=theirs).to_json()))
    own = ContainerOptions("i", mounts=(VolumeMount("tmpfs", "/mine"),), volumes_from=("one:ro",))
    found = with_mounts_of_others(own, find=lambda _name: other, volumes_of=lambda _id: [("generated", "/v")])
    assert found.inherited == 2
    assert found.mounts == (
        VolumeMount("bind", "/a", "/x", True, ("rbind",)),
        VolumeMount("volume", "/v", "generated", read_only=True, copy_up=False),
        VolumeMount("tmpfs", "/mine"),
    )
    assert host_config(found, RECORD)["Binds"] is None


def test_a_shared_namespace_is_that_of_an_id_and_not_of_a_name():
    options = ContainerOptions("i", shared=Shared(pid="container:one", ipc="host"))
    found = with_ids_of_others(options, find=lambda _name: RECORD)
    assert found.shared == Shared(pid=f"container:{'a' * 64}", ipc="host")
