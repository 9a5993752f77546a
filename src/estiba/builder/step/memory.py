"""Whether the kernel killed something for want of memory while a step ran, and what to say of it.

The step's own control group is gone when its container is, so the whole machine's counter is what is asked
(proc(5), /proc/vmstat); it counts what the limit of any group leads to as well.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

_GROUPS = "/sys/fs/cgroup"
_UNLIMITED = 1 << 62


def kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine began."""
    for line in _lines("/proc/vmstat"):
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0


def note() -> str:
    """What there was of memory, and what the largest process of this step took."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    return words(limit=_limit(), total=_total(), largest=largest)


def words(*, limit: int, total: int, largest: int) -> str:
    """A sentence; `limit` is that of the control groups that this process is in, 0 where there is none."""
    bound = f"the limit of memory here is {_size(limit)}" if limit else f"the machine has {_size(total)} of memory"
    return (
        "out of memory: the kernel killed a process while the command ran; "
        f"{bound}, and the largest process of this step took {_size(largest)}"
    )


def _limit() -> int:
    """The least limit of the groups above this process, 0 where there is none."""
    found = [limit for path in _groups() if (limit := _number(path)) and limit < _UNLIMITED]
    return min(found, default=0)


def _groups() -> Iterator[str]:
    """The files that hold the limits, in either version of control groups."""
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, name = f"{_GROUPS}/memory", "memory.limit_in_bytes"
        elif not controllers:
            root, name = _GROUPS, "memory.max"
        else:
            continue
        while True:
            yield f"{root}{path.rstrip('/')}/{name}"
            if path in ("", "/"):
                break
            path = os.path.dirname(path)


def _total() -> int:
    for line in _lines("/proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) << 10
    return 0


def _number(path: str) -> int:
    text = next(iter(_lines(path)), "")
    return int(text) if text.isdigit() else 0


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"
