"""What the kernel says of a monitor."""

from __future__ import annotations

import os


def stat_of(pid: int) -> tuple[str, int]:
    """The state of a process, and its parent."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        state, parent, *_ = file.read().rpartition(")")[2].split()
    return state, int(parent)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def own_memory(pid: int) -> int:
    """What the process has for itself alone, in kB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))


def monitor_of(host, name: str) -> int:
    return stat_of(host.inspect(name)["State"]["Pid"])[1]


def is_settled(monitor: int) -> bool:
    with open(f"/proc/{monitor}/cmdline", "rb") as file:
        return b"\0lean\0" in file.read()


def settle(host, name: str) -> int:
    """Wait until the container's monitor has settled; gives its process id."""
    monitor = monitor_of(host, name)
    host.wait_until(lambda: is_settled(monitor), "the monitor settles")
    host.estiba("kill", "-s", "CONT", name)  # it answers: the new program has been loaded
    return monitor
