"""What a running container uses at the moment: processor, memory, processes, block devices, networks."""

from __future__ import annotations

import os
import time

from estiba.engine import lifecycle
from estiba.errors import EstibaError
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.records import ContainerRecord


class Interface(NamedTuple):
    """What has passed a network interface: bytes, packets, errors and drops, in and out."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class Usage(NamedTuple):
    """`taken` is in Unix seconds; `group` are the numbers of the control group as `linux.cgroups.statistics` shapes
    them; `machine` are the nanoseconds that all processors of the machine have passed, `processors` their number."""

    taken: float
    group: dict[str, Any]
    machine: int
    processors: int
    interfaces: dict[str, Interface]

    @property
    def processor_time(self) -> int:
        """Nanoseconds, of all processors together."""
        return int(self.group.get("cpu", {}).get("usage", {}).get("total", 0))

    @property
    def memory(self) -> int:
        """Bytes in use, without the pages of files that can be dropped at once (as Docker's command counts)."""
        memory = self.group.get("memory", {})
        used = int(memory.get("usage", {}).get("usage", 0))
        raw = memory.get("raw", {})
        inactive = int(raw.get("total_inactive_file", raw.get("inactive_file", 0)))
        return used - inactive if inactive < used else used

    @property
    def memory_limit(self) -> int:
        """The container's, or the machine's where it has none."""
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return min(int(self.group.get("memory", {}).get("usage", {}).get("limit", whole)) or whole, whole)

    @property
    def processes(self) -> int:
        return int(self.group.get("pids", {}).get("current", 0))

    @property
    def blocks(self) -> tuple[int, int]:
        """Bytes read from and written to block devices."""
        entries = self.group.get("blkio", {}).get("ioServiceBytesRecursive", ())

        def total(word: str) -> int:
            return sum(int(entry["value"]) for entry in entries if entry["op"].lower() == word)

        return total("read"), total("write")

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes received and sent."""
        found = self.interfaces.values()
        return sum(one.rx_bytes for one in found), sum(one.tx_bytes for one in found)

    def processor_share(self, before: Usage) -> float:
        """Per cent of one processor since `before`."""
        machine = self.machine - before.machine
        used = self.processor_time - before.processor_time
        return used / machine * self.processors * 100 if machine > 0 and used > 0 else 0.0


def measure(record: ContainerRecord) -> Usage | None:
    """What the container uses; None where it does not run."""
    from estiba.linux.cgroups.statistics import read_statistics

    if record.state not in (lifecycle.RUNNING, lifecycle.PAUSED):
        return None
    try:
        group = _group_of(record.pid)
        numbers = read_statistics(group) if group is not None else {}
        interfaces = _interfaces(record.pid)
    except OSError:
        return None  # it has just ended
    machine, processors = _machine()
    return Usage(time.time(), numbers, machine, processors, interfaces)


def _group_of(pid: int) -> Any:
    """The control group of a process, by the kernel's own word: any runtime may have made it."""
    from estiba.linux.cgroups.group import open_group

    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    path = paths.get("memory") or paths.get("pids") or paths.get("")
    try:
        return open_group(path) if path and path != "/" else None
    except EstibaError:
        return None


def _interfaces(pid: int) -> dict[str, Interface]:
    found = {}
    with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
        for line in file:
            name, colon, rest = line.partition(":")
            if not colon or name.strip() == "lo":
                continue
            numbers = [int(word) for word in rest.split()]
            found[name.strip()] = Interface(*numbers[:4], *numbers[8:12])
    return found


def _machine() -> tuple[int, int]:
    """The nanoseconds that all processors have passed, and how many they are (proc(5), /proc/stat)."""
    tick = 10**9 // os.sysconf("SC_CLK_TCK")
    total = processors = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith("cpu "):
                total = sum(int(word) for word in line.split()[1:8]) * tick
            elif line.startswith("cpu"):
                processors += 1
    return total, processors
