"""The container's spec: Docker's defaults, and nothing looser."""

from __future__ import annotations

from estiba.runtime.spec import (
    DEFAULT_CAPABILITIES,
    IdMapping,
    Resources,
    SpecDevice,
    SpecMount,
    SpecOptions,
    container_spec,
    process_spec,
)


def spec(**options):
    return container_spec(SpecOptions(args=("sh",), **options))


def test_the_process_object_as_a_whole() -> None:
    assert process_spec(
        SpecOptions(args=("sh", "-c", "true"), uid=1000, gid=1001, additional_gids=(5,), umask=0o27)
    ) == {
        "terminal": False,
        "user": {"uid": 1000, "gid": 1001, "additionalGids": [5], "umask": 0o27},
        "args": ["sh", "-c", "true"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "cwd": "/",
        "capabilities": {
            "bounding": list(DEFAULT_CAPABILITIES),
            "effective": list(DEFAULT_CAPABILITIES),
            "permitted": list(DEFAULT_CAPABILITIES),
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": True,
    }


def test_the_defaults_guard_everything() -> None:
    linux = spec()["linux"]
    assert [n["type"] for n in linux["namespaces"]] == ["mount", "pid", "network", "ipc", "uts", "cgroup"]
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"}


def test_privileged_lifts_every_guard() -> None:
    document = spec(privileged=True)
    assert "CAP_SYS_ADMIN" in document["process"]["capabilities"]["bounding"]
    assert document["process"]["noNewPrivileges"] is False
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & set(document["linux"])
    assert document["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    [sys_mount] = [m for m in document["mounts"] if m["destination"] == "/sys"]
    assert "ro" not in sys_mount["options"]


def test_a_mount_replaces_the_default_one_and_parents_come_first() -> None:
    mounts = (
        SpecMount("/data/deep", "bind", "/b"),
        SpecMount("/dev/shm", "bind", "/s"),
        SpecMount("/data", "bind", "/a"),
    )
    destinations = [m["destination"] for m in spec(mounts=mounts)["mounts"]]
    assert destinations.count("/dev/shm") == 1
    assert destinations.index("/data") < destinations.index("/data/deep")
    assert destinations.index("/dev") < destinations.index("/dev/shm")


def test_resources_hold_only_what_is_asked() -> None:
    resources = spec(resources=Resources(memory=1 << 20, cpu_quota=5, pids=7))["linux"]["resources"]
    del resources["devices"]
    assert resources == {"memory": {"limit": 1 << 20}, "cpu": {"quota": 5}, "pids": {"limit": 7}}


def test_a_device_is_a_node_and_a_rule() -> None:
    linux = spec(devices=(SpecDevice("/dev/fuse", "c", 10, 229, access="rw"),))["linux"]
    assert [d["path"] for d in linux["devices"]] == ["/dev/fuse"]
    assert linux["resources"]["devices"][-1] == {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}


def test_namespaces_are_new_the_hosts_or_joined() -> None:
    linux = spec(network="host", pid="path:/proc/1/ns/pid")["linux"]
    kinds = {n["type"]: n.get("path") for n in linux["namespaces"]}
    assert "network" not in kinds
    assert kinds["pid"] == "/proc/1/ns/pid"


def test_a_user_namespace_leaves_out_what_it_cannot_have() -> None:
    document = spec(uid_mappings=(IdMapping(0, 1000, 1),), gid_mappings=(IdMapping(0, 1000, 1),), network="host")
    mounts = {m["destination"]: m for m in document["mounts"]}
    assert "/sys/fs/cgroup" not in mounts
    assert mounts["/sys"]["type"] == "bind"
    assert "gid=5" not in mounts["/dev/pts"]["options"]
    assert document["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]


def test_who_is_in_a_project_cannot_leave_it_unless_the_kernel_keeps_it_there_or_nothing_is_guarded() -> None:
    usual = spec()["linux"]["seccomp"]
    kept = spec(keeps_project=True)["linux"]["seccomp"]
    assert kept != usual
    assert spec(keeps_project=True, seccomp=usual)["linux"]["seccomp"] == kept
    assert spec(keeps_project=True, uid_mappings=(IdMapping(0, 100000, 65536),))["linux"]["seccomp"] == usual
    assert "seccomp" not in spec(keeps_project=True, seccomp="unconfined")["linux"]
    assert "seccomp" not in spec(keeps_project=True, privileged=True)["linux"]
