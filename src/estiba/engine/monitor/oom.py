"""Whether the kernel killed a process of a container because its memory was used up."""

from __future__ import annotations

import os

from estiba.values import NamedTuple


class OomWatch(NamedTuple):
    """The file that counts, "" where there is none, and its count at the beginning."""

    path: str = ""
    before: int = 0

    @classmethod
    def of(cls, pid: int) -> OomWatch:
        """For the control group of process `pid`, which must outlive the question."""
        path = _counter(pid)
        return cls(path, _count(path)) if path else cls()

    def has_happened(self) -> bool:
        """Whether something was killed since."""
        return bool(self.path) and _count(self.path) > self.before


def _counter(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            found = f"/sys/fs/cgroup/memory{path}/memory.oom_control"
            return found if path != "/" and os.path.exists(found) else ""
    for _, controllers, path in lines:
        if not controllers:
            found = f"/sys/fs/cgroup{path}/memory.events"
            return found if os.path.exists(found) else ""
    return ""


def _count(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    except OSError:
        return 0
    return 0
