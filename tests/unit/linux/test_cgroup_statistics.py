"""What a version 2 group has used, from recorded files; version 1 is read on the kernel by the feature tests."""

from __future__ import annotations

from pathlib import Path

from estiba.linux.cgroups.group import Group
from estiba.linux.cgroups.layout import Layout
from estiba.linux.cgroups.statistics import read_kills, read_statistics

FILES = {
    "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 7\nnr_throttled 2\nthrottled_usec 30\n",
    "memory.stat": "anon 4096\nfile 8192\n",
    "memory.current": "12288\n",
    "memory.max": "max\n",
    "memory.peak": "20480\n",
    "memory.events": "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "1048576\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.max": "4194304\n",
}


def _group(directory: Path) -> Group:
    place = directory / "box"
    place.mkdir()
    for name, text in FILES.items():
        (place / name).write_text(text)
    return Group(Layout({}, str(directory)), "/box")


def test_version_2_is_told_in_nanoseconds_and_bytes(tmp_path: Path) -> None:
    unlimited = 2**64 - 1
    assert read_statistics(_group(tmp_path)) == {
        "cpu": {
            "usage": {"total": 1_500_000, "kernel": 500_000, "user": 1_000_000},
            "throttling": {"periods": 7, "throttledPeriods": 2, "throttledTime": 30_000},
        },
        "memory": {
            "usage": {"limit": unlimited, "usage": 12288, "max": 20480, "failcnt": 4},
            "swap": {"limit": 1048576, "usage": 0, "max": 0},
            "cache": 8192,
            "raw": {"anon": 4096, "file": 8192},
        },
        "pids": {"current": 3},
        "blkio": {
            "ioServiceBytesRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 4096},
                {"major": 8, "minor": 0, "op": "Write", "value": 512},
                {"major": 8, "minor": 0, "op": "Discard", "value": 0},
            ],
            "ioServicedRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 1},
                {"major": 8, "minor": 0, "op": "Write", "value": 2},
                {"major": 8, "minor": 0, "op": "Discard", "value": 0},
            ],
        },
        "hugetlb": {"2MB": {"usage": 2097152, "max": 4194304}},
    }


def test_kills_for_want_of_memory_are_counted(tmp_path: Path) -> None:
    assert read_kills(_group(tmp_path)) == 1
    assert read_kills(Group(Layout({}, str(tmp_path)), "/gone")) == 0
