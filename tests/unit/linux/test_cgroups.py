"""Control groups without a kernel: where they are mounted, what is written, and what device rules decide."""

from __future__ import annotations

import struct

import pytest

from estiba.errors import InvalidInput, NotThereYet
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
        ("cpu.weight", "39"),
        ("cpu.max", "5000 100000"),
        ("cpuset.cpus", "0-1"),
        ("pids.max", "max"),
        ("memory.high", "900"),
    ]


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
    for resources in ({"rdma": {"x": {}}}, {"network": {"classID": 1}}, {"flux": {"limit": 1}}):
        with pytest.raises(NotThereYet):
            v1.refuse_unsupported(resources)


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
