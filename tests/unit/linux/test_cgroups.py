"""Control groups without a kernel: where they are mounted, what is written, and what device rules decide."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from estiba.errors import Conflict, InvalidInput, NotThereYet
from estiba.linux.cgroups import devices, v1, v2
from estiba.linux.cgroups.group import Group
from estiba.linux.cgroups.layout import Layout, parse_mountinfo

HYBRID = """\
30 29 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_a_hybrid_machine_is_read() -> None:
    layout = parse_mountinfo(HYBRID)
    assert layout.controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert layout.unified == "/sys/fs/cgroup/unified"
    assert not layout.is_unified
    assert len(layout.hierarchies()) == 3


def test_a_machine_with_version_2_alone_is_read() -> None:
    layout = parse_mountinfo(UNIFIED)
    assert layout.is_unified
    assert Group(layout, "/estiba/x").directories() == ["/sys/fs/cgroup/estiba/x"]


@pytest.mark.parametrize("path", ["", "/", "/a/../..", ".."])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        Group(Layout({}, "/sys/fs/cgroup"), path)


def test_limits_in_version_2s_files() -> None:
    resources = {
        "memory": {"limit": 1000, "swap": 1500, "reservation": 10},
        "cpu": {"shares": 1024, "quota": 5000, "cpus": "0-1"},
        "pids": {"limit": -1},
        "unified": {"memory.high": "900"},
    }
    assert v2.files(resources) == [
        ("memory.max", "1000"),
        ("memory.swap.max", "500"),
        ("memory.low", "10"),
        ("cpu.weight", "100"),
        ("cpu.max", "5000 100000"),
        ("cpuset.cpus", "0-1"),
        ("pids.max", "max"),
        ("memory.high", "900"),
    ]


@pytest.mark.parametrize(("shares", "weight"), [(0, 1), (2, 1), (3, 2), (1024, 100), (262144, 10000), (1 << 40, 10000)])
def test_shares_become_weights_whose_default_is_the_kernels(shares: int, weight: int) -> None:
    assert v2.weight_of_shares(shares) == weight


def test_more_shares_never_mean_less_weight() -> None:
    weights = [v2.weight_of_shares(shares) for shares in range(2, 262145, 7)]
    assert weights == sorted(weights)


def test_a_group_that_is_idle_no_longer_can_be_given_a_weight() -> None:
    assert v2.files({"cpu": {"shares": 1024, "idle": 0}}) == [("cpu.idle", "0"), ("cpu.weight", "100")]


def test_unlimited_memory_means_swap_too() -> None:
    assert v2.files({"memory": {"limit": -1}}) == [("memory.max", "max"), ("memory.swap.max", "max")]


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"swap": 10}},
        {"memory": {"limit": 10, "swap": 5}},
        {"unified": {"../x": "1"}},
        {"unified": {"cgroup.procs": "1"}},
    ],
)
def test_limits_without_meaning_are_refused(resources: dict) -> None:
    with pytest.raises(InvalidInput):
        v2.files(resources)


def test_limits_that_nobody_keeps_are_refused() -> None:
    with pytest.raises(NotThereYet):
        v1.refuse_unsupported({"flux": {"limit": 1}})


@pytest.mark.parametrize(
    "resources",
    [
        {"network": {"classID": 1}},
        {"memory": {"swappiness": 0}},
        {"memory": {"kernelTCP": 1}},
        {"memory": {"disableOOMKiller": True}},
        {"cpu": {"realtimeRuntime": 1}},
        {"blockIO": {"leafWeight": 10}},
        {"unified": {"../x": "1"}},
        {"unified": {"cgroup.procs": "1"}},
    ],
)
def test_what_version_2_cannot_do_is_refused(resources: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        v2.files(resources)


@pytest.mark.parametrize(
    "resources",
    [
        {"rdma": {"mlx5_0": {}}},
        {"rdma": {"two words": {"hcaHandles": 1}}},
        {"hugepageLimits": [{"pageSize": "2 mega", "limit": 1}]},
    ],
)
def test_a_limit_without_sense_is_refused(tmp_path: Path, resources: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        v1.apply(lambda controller: str(tmp_path), resources)


def _recorded(directory: Path, *names: str) -> Path:
    """A fake group: plain files where the kernel has its own."""
    for name in names:
        (directory / name).touch()
    return directory


def _written(directory: Path) -> dict[str, str]:
    return {file.name: text for file in directory.iterdir() if (text := file.read_text())}


def test_every_limit_reaches_its_file_in_version_1(tmp_path: Path) -> None:
    names = ["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.1GB.limit_in_bytes"]
    names += ["rdma.max", "net_cls.classid", "net_prio.ifpriomap", "blkio.bfq.weight_device"]
    group = _recorded(tmp_path, *names)
    resources = {
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}, {"pageSize": "1GB", "limit": 7}],
        "rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 10000}},
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
        "blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 500}]},
    }
    v1.apply(lambda controller: str(group), resources)
    assert _written(group) == {
        "hugetlb.2MB.limit_in_bytes": "4194304",
        "hugetlb.2MB.rsvd.limit_in_bytes": "4194304",
        "hugetlb.1GB.limit_in_bytes": "7",
        "rdma.max": "mlx5_0 hca_handle=3 hca_object=10000",
        "net_cls.classid": "1048577",
        "net_prio.ifpriomap": "eth0 500",
        "blkio.bfq.weight_device": "8:0 500",
    }


def test_every_limit_reaches_its_file_in_version_2(tmp_path: Path) -> None:
    names = ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "rdma.max", "io.weight", "memory.max", "memory.high"]
    group = _recorded(tmp_path, *names)
    resources = {
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "rdma": {"mlx5_0": {"hcaObjects": 10000}},
        "blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]},
        "memory": {"limit": 1000000},
        "unified": {"memory.high": "900000"},
    }
    v2.apply(str(group), resources)
    assert _written(group) == {
        "hugetlb.2MB.max": "4194304",
        "hugetlb.2MB.rsvd.max": "4194304",
        "rdma.max": "mlx5_0 hca_object=10000",
        "io.weight": "8:0 10000",
        "memory.max": "1000000",
        "memory.high": "900000",
    }


@pytest.mark.parametrize("version", [1, 2])
def test_a_memory_limit_below_what_is_used_is_refused_where_asked(tmp_path: Path, version: int) -> None:
    """resources.memory.checkBeforeUpdate"""
    (tmp_path / "memory.usage_in_bytes").write_text("5000\n")
    (tmp_path / "memory.current").write_text("5000\n")
    asked = {"memory": {"limit": 4096, "checkBeforeUpdate": True}}
    with pytest.raises(Conflict, match="below the 5000 bytes in use"):
        if version == 1:
            v1.apply(lambda controller: str(tmp_path), asked)
        else:
            v2.apply(str(tmp_path), asked)


# The eBPF program


def decide(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program as the kernel's machine would, on a struct bpf_cgroup_dev_ctx."""
    context = {0: {"b": 1, "c": 2}[kind] | sum({"m": 1, "r": 2, "w": 4}[a] for a in access) << 16, 4: major, 8: minor}
    code = list(struct.iter_unpack("<BBhI", program))
    registers = [0] * 11
    position = 0
    while True:
        operation, packed, offset, value = code[position]
        to, source = packed & 15, packed >> 4
        position += 1
        if operation == 0x61:
            registers[to] = context[offset]
        elif operation == 0xBC:
            registers[to] = registers[source]
        elif operation == 0xB7:
            registers[to] = value
        elif operation == 0x54:
            registers[to] &= value
        elif operation == 0x74:
            registers[to] >>= value
        elif operation == 0x56:
            position += offset if registers[to] != value else 0
        elif operation == 0x5E:
            position += offset if registers[to] != registers[source] else 0
        elif operation == 0x16:
            position += offset if registers[to] == value else 0
        else:
            assert operation == 0x95
            return registers[0] == 1


def test_the_last_rule_that_covers_an_access_decides() -> None:
    program = devices.program(
        [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "access": "m"},
            {"allow": True, "type": "b", "major": 8, "minor": -1, "access": "rm"},
            {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "r"},
        ]
    )
    assert decide(program, "c", 1, 3, "rw"), "a default device"
    assert decide(program, "c", 136, 7, "rw"), "a terminal"
    assert decide(program, "c", 99, 1, "m")
    assert not decide(program, "c", 99, 1, "rm")
    assert not decide(program, "c", 10, 200, "r")
    assert decide(program, "b", 8, 0, "r")
    assert not decide(program, "b", 8, 0, "w")
    assert not decide(program, "b", 8, 1, "r")
    assert decide(program, "b", 8, 1, "m")


def test_everything_allowed_is_two_instructions_after_the_defaults() -> None:
    program = devices.program([{"allow": True, "access": "rwm"}])
    assert decide(program, "b", 8, 0, "rwm")
