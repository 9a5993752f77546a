"""Limits of groups that have some already: the order in which they are written, what stays, and what is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from estiba.errors import Conflict, InvalidInput, Unavailable
from estiba.linux.cgroups import devices, v1, v2
from estiba.linux.cgroups import files as control_files


class Kernel:
    """Files of one group that are checked as the kernel checks them, and note what was written, in order."""

    def __init__(self, directory: Path, **texts: str) -> None:
        self.directory = directory
        self.written: list[tuple[str, str]] = []
        for name, text in texts.items():
            (directory / name.replace("__", ".")).write_text(text)

    def read(self, name: str) -> str:
        return (self.directory / name).read_text().strip()

    def write(self, path: str, text: str) -> None:
        name = os.path.basename(path)
        if not self._would_take(name, text):
            raise OSError(errno.EINVAL, f"write {text!r} to {path}: Invalid argument")
        control_files.write(path, text)
        (self.directory / name).write_text(text)
        self.written.append((name, text))

    def _would_take(self, name: str, text: str) -> bool:
        if name == "cpu.max.burst":
            return self._fits(self.read("cpu.max").split()[0], text)
        if name == "cpu.max":
            return self._fits(text.split()[0], self.read("cpu.max.burst"))
        if name == "cpu.cfs_burst_us":
            return self._fits(self.read("cpu.cfs_quota_us"), text)
        if name == "cpu.cfs_quota_us":
            return self._fits(text, self.read("cpu.cfs_burst_us"))
        if name in ("cpu.weight", "cpu.shares"):
            return self.read("cpu.idle") != "1"
        return True

    @staticmethod
    def _fits(quota: str, burst: str) -> bool:
        return quota in ("max", "-1") or int(burst) <= int(quota)


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(
        tmp_path,
        cpu__max="50000 200000\n",
        cpu__max__burst="20000\n",
        cpu__idle="0\n",
        cpu__weight="100\n",
        memory__max="1000\n",
        memory__current="600\n",
        memory__swap__current="200\n",
        memory__swap__max="max\n",
        pids__max="max\n",
        io__max="",
        cgroup__controllers="cpu memory pids io\n",
    )
    monkeypatch.setattr(v2, "write", kernel.write)
    return kernel


@pytest.fixture
def legacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(
        tmp_path,
        cpu__cfs_quota_us="50000\n",
        cpu__cfs_period_us="100000\n",
        cpu__cfs_burst_us="20000\n",
        cpu__idle="0\n",
        cpu__shares="1024\n",
        memory__limit_in_bytes="1000\n",
        memory__usage_in_bytes="600\n",
        memory__memsw__limit_in_bytes="2000\n",
        memory__memsw__usage_in_bytes="800\n",
        devices__list="c 1:3 rwm\n",
        devices__allow="",
        devices__deny="",
    )
    monkeypatch.setattr(v1, "write", kernel.write)
    return kernel


def set_unified(kernel: Kernel, resources: dict[str, Any]) -> list[tuple[str, str]]:
    v2.apply(str(kernel.directory), resources)
    return kernel.written


def set_legacy(kernel: Kernel, resources: dict[str, Any]) -> list[tuple[str, str]]:
    v1.apply(lambda controller: str(kernel.directory), resources)
    return kernel.written


def test_a_burst_that_shrinks_is_written_before_the_quota(unified: Kernel) -> None:
    written = set_unified(unified, {"cpu": {"quota": 10000, "period": 100000, "burst": 5000}})
    assert written == [("cpu.max.burst", "5000"), ("cpu.max", "10000 100000")]


def test_a_burst_that_grows_with_the_quota_is_written_after_it(unified: Kernel) -> None:
    written = set_unified(unified, {"cpu": {"quota": 90000, "period": 100000, "burst": 80000}})
    assert written == [("cpu.max", "90000 100000"), ("cpu.max.burst", "80000")]


def test_a_burst_beyond_the_quota_is_refused(unified: Kernel) -> None:
    with pytest.raises(OSError, match=r"cpu\.max\.burst"):
        set_unified(unified, {"cpu": {"burst": 80000}})
    with pytest.raises(OSError, match=r"cpu\.max\.burst"):
        set_unified(unified, {"cpu": {"burst": 80000, "quota": 60000}})


def test_a_burst_can_be_taken_back(unified: Kernel, legacy: Kernel) -> None:
    assert set_unified(unified, {"cpu": {"burst": 0}}) == [("cpu.max.burst", "0")]
    assert set_legacy(legacy, {"cpu": {"burst": 0}}) == [("cpu.cfs_burst_us", "0")]


@pytest.mark.parametrize(
    ("quota", "burst", "written"),
    [
        (10000, 5000, [("cpu.cfs_burst_us", "5000"), ("cpu.cfs_quota_us", "10000")]),
        (90000, 80000, [("cpu.cfs_quota_us", "90000"), ("cpu.cfs_burst_us", "80000")]),
    ],
)
def test_version_1_has_the_same_order(legacy: Kernel, quota: int, burst: int, written: list[tuple[str, str]]) -> None:
    assert set_legacy(legacy, {"cpu": {"quota": quota, "burst": burst}}) == written


@pytest.mark.parametrize(
    ("cpu", "text"),
    [
        ({"quota": 30000}, "30000 200000"),
        ({"period": 100000}, "50000 100000"),
        ({"quota": -1}, "max 200000"),
        ({"quota": 30000, "period": 60000}, "30000 60000"),
    ],
)
def test_half_of_a_quota_leaves_the_other_half(unified: Kernel, cpu: dict[str, int], text: str) -> None:
    assert set_unified(unified, {"cpu": cpu}) == [("cpu.max", text)]


def test_an_idle_group_is_given_no_weight(unified: Kernel, legacy: Kernel) -> None:
    assert set_unified(unified, {"cpu": {"idle": 1, "shares": 512}}) == [("cpu.idle", "1")]
    assert set_legacy(legacy, {"cpu": {"idle": 1, "shares": 512}}) == [("cpu.idle", "1")]


def test_swap_alone_counts_from_the_memory_limit_that_is_set(unified: Kernel) -> None:
    assert ("memory.swap.max", "500") in set_unified(unified, {"memory": {"swap": 1500}})


def test_swap_without_any_memory_limit_is_refused(unified: Kernel) -> None:
    (unified.directory / "memory.max").write_text("max\n")
    with pytest.raises(InvalidInput, match="needs a memory limit"):
        set_unified(unified, {"memory": {"swap": 1500}})


@pytest.mark.parametrize(
    ("memory", "swap", "text"),
    [(1000, 1000, "0"), (1000, 1500, "500"), (1000, -1, "max"), (-1, 1500, "1500"), (-1, -1, "max")],
)
def test_memory_and_swap_become_swap_alone(memory: int, swap: int, text: str) -> None:
    assert v2.swap_only(memory, swap) == text


@pytest.mark.parametrize("swap", [-1, 1000, 2000])
def test_a_kernel_that_counts_no_swap_takes_what_asks_for_nothing(unified: Kernel, swap: int) -> None:
    (unified.directory / "memory.swap.max").unlink()
    assert set_unified(unified, {"memory": {"limit": 1000, "swap": swap}}) == [("memory.max", "1000")]


def test_a_kernel_that_counts_no_swap_is_asked_for_none(unified: Kernel) -> None:
    (unified.directory / "memory.swap.max").unlink()
    with pytest.raises(Unavailable, match=r"no memory\.swap\.max"):
        set_unified(unified, {"memory": {"limit": 1000, "swap": 1100}})


def test_memory_with_swap_below_what_is_used_is_refused_where_asked(unified: Kernel, legacy: Kernel) -> None:
    asked = {"memory": {"limit": 700, "swap": 750, "checkBeforeUpdate": True}}
    with pytest.raises(Conflict, match="750 is below the 800 bytes"):
        set_unified(unified, asked)
    with pytest.raises(Conflict, match="750 is below the 800 bytes"):
        set_legacy(legacy, asked)


def test_unlimited_memory_means_swap_too_with_version_1(legacy: Kernel) -> None:
    assert set_legacy(legacy, {"memory": {"limit": -1}}) == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "-1"),
    ]


@pytest.mark.parametrize(
    "unified_map", [{"memory": "1"}, {".max": "1"}, {"cgroup.procs": "1"}, {"a/b.c": "1"}, {"memory.": "1"}]
)
def test_unified_takes_files_of_controllers_alone(unified_map: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="unified"):
        v2.files({"unified": unified_map})


def test_each_line_of_a_unified_file_is_a_write_of_its_own(unified: Kernel) -> None:
    written = set_unified(unified, {"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2\n", "pids.max": "7"}})
    assert written == [("io.max", "8:0 rbps=1"), ("io.max", "8:16 rbps=2"), ("pids.max", "7")]


def test_a_controller_that_is_not_there_is_named(unified: Kernel) -> None:
    with pytest.raises(Unavailable, match="'hugetlb' is not enabled"):
        set_unified(unified, {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]})
    with pytest.raises(Unavailable, match="'rdma' is not enabled"):
        set_unified(unified, {"rdma": {"mlx5_0": {"hcaHandles": 1}}})
    with pytest.raises(Unavailable, match=r"no memory\.zswap\.max"):
        set_unified(unified, {"unified": {"memory.zswap.max": "1"}})


def test_pages_that_are_reserved_are_limited_where_the_kernel_counts_them(unified: Kernel) -> None:
    asked = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}
    (unified.directory / "hugetlb.2MB.max").touch()
    assert set_unified(unified, asked) == [("hugetlb.2MB.max", "4194304")]
    (unified.directory / "hugetlb.2MB.rsvd.max").touch()
    assert set_unified(unified, asked)[1:] == [("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")]


def test_weights_reach_the_file_of_the_scheduler_that_is_there(unified: Kernel) -> None:
    asked = {"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}}
    (unified.directory / "io.bfq.weight").touch()
    assert set_unified(unified, asked) == [("io.bfq.weight", "500"), ("io.bfq.weight", "8:0 10")]
    unified.written.clear()
    (unified.directory / "io.weight").touch()
    assert set_unified(unified, asked) == [("io.weight", "4950"), ("io.weight", "8:0 1")]


def test_a_group_below_one_with_processes_becomes_threaded(unified: Kernel) -> None:
    """cgroup-v2.rst, "Threads": it could not have a process else."""
    (unified.directory / "cgroup.type").write_text("domain invalid\n")
    written = set_unified(unified, {"pids": {"limit": 5}, "cpu": {"shares": 512}})
    assert written[0] == ("cgroup.type", "threaded")
    assert ("pids.max", "5") in written


@pytest.mark.parametrize("kind", ["domain invalid", "threaded"])
def test_a_threaded_group_is_refused_limits_that_it_cannot_keep(unified: Kernel, kind: str) -> None:
    (unified.directory / "cgroup.type").write_text(f"{kind}\n")
    with pytest.raises(Unavailable, match=r"the limits of memory cannot be kept.*has processes of its own"):
        set_unified(unified, {"memory": {"limit": 1000}})
    assert unified.written == []


DENY_ALL = {"allow": False, "access": "rwm"}


def test_the_device_rules_of_version_1_are_changed_without_denying_all_for_a_moment(legacy: Kernel) -> None:
    asked = {"devices": [DENY_ALL, {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"}]}
    written = set_legacy(legacy, asked)
    assert ("devices.deny", "a") not in written
    assert ("devices.allow", "b 8:0 r") in written
    assert not [text for name, text in written if name == "devices.deny" and text.startswith("c 1:3 ")]


def test_a_list_of_devices_is_lifted_where_all_are_allowed(legacy: Kernel) -> None:
    assert set_legacy(legacy, {"devices": [{"allow": True, "access": "rwm"}]}) == [
        ("devices.allow", "a"),
        ("devices.allow", "a"),
    ]


def test_device_rules_of_version_2_are_replaced(unified: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(devices, "restrict", lambda directory, rules: given.append((directory, rules)))
    set_unified(unified, {"devices": [DENY_ALL]})
    assert given == [(str(unified.directory), [DENY_ALL])]
