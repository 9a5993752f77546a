"""Limits in the files of control groups version 1 (runtime-spec, config-linux.md)."""

from __future__ import annotations

import errno
import os

from estiba.errors import Conflict, InvalidInput, NotThereYet, Unavailable
from estiba.linux.cgroups import limits
from estiba.linux.cgroups.files import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

FROZEN = "FROZEN"
THAWED = "THAWED"

# Every container has these (config-linux.md, "Default Devices"), besides terminals. To make a node of any device is
# harmless, since opening it is what the rules guard; and linux.devices are made by a process that is in the group.
DEFAULT_DEVICES: tuple[str, ...] = (
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)

_CPU = (
    ("idle", "cpu", "cpu.idle"),  # before the shares, which the kernel refuses while a group is idle
    ("shares", "cpu", "cpu.shares"),
    ("period", "cpu", "cpu.cfs_period_us"),
    ("burst", "cpu", "cpu.cfs_burst_us"),
    ("quota", "cpu", "cpu.cfs_quota_us"),
    ("realtimePeriod", "cpu", "cpu.rt_period_us"),
    ("realtimeRuntime", "cpu", "cpu.rt_runtime_us"),
    ("cpus", "cpuset", "cpuset.cpus"),
    ("mems", "cpuset", "cpuset.mems"),
)
# What the kernel checks against another that may be about to change: refused, it may be taken once that has changed.
_MOVE_TOGETHER = {"period": "quota", "burst": "quota", "realtimePeriod": "realtimeRuntime"}
_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)
_KNOWN = frozenset(("devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified"))


def inherit_cpuset(place: str, path: str) -> None:
    """A new cpuset is empty and takes no process: give each level what its parent has."""
    current = place
    for part in path.strip("/").split("/"):
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read(f"{current}/{part}/{file}").strip():
                write(f"{current}/{part}/{file}", read(f"{current}/{file}").strip())
        current += "/" + part


def apply(directory: Callable[[str], str], resources: Mapping[str, Any]) -> None:
    """Set `resources`; `directory` gives a controller's own directory of the group."""
    refuse_unsupported(resources)
    if resources.get("unified"):
        raise InvalidInput("`unified` resources are for control groups version 2; this machine has version 1")
    _devices(directory, resources.get("devices") or ())
    _memory(directory, resources.get("memory") or {})
    _cpu(directory, resources.get("cpu") or {})
    pids = resources.get("pids") or {}
    if pids.get("limit"):
        write(f"{directory('pids')}/pids.max", str(pids["limit"]) if pids["limit"] > 0 else "max")
    _block_io(directory, resources.get("blockIO") or {})
    for file, value, is_needed in limits.huge_pages(resources.get("hugepageLimits") or (), unified=False):
        place = f"{directory('hugetlb')}/{file}"
        if is_needed or os.path.exists(place):
            write(place, value)
    for file, text in limits.rdma(resources.get("rdma") or {}):
        write(f"{directory('rdma')}/{file}", text)
    for controller, file, text in limits.network(resources.get("network") or {}):
        write(f"{directory(controller)}/{file}", text)


def refuse_unsupported(resources: Mapping[str, Any]) -> None:
    """Raise NotThereYet for limits that are not known here; an empty one asks for nothing."""
    unknown = {name for name, value in resources.items() if value} - _KNOWN
    if unknown:
        raise NotThereYet(f"the resource limit {min(unknown)!r} is not known")
    if ((resources.get("memory") or {}).get("kernel") or 0) > 0:
        raise InvalidInput("Linux limits the memory of the kernel alone no more (memory.kernel)")


def device_rule(rule: Mapping[str, Any]) -> str:
    """A rule of the runtime-spec as the kernel writes it: ``c 1:3 rwm``, ``a *:* rwm``."""
    major, minor = rule.get("major"), rule.get("minor")

    def number(value: int | None) -> str:
        return "*" if value is None or value == -1 else str(value)

    kind = rule.get("type") or "a"
    if kind not in ("a", "b", "c"):
        raise InvalidInput(f"a device rule is for type a, b or c, not {kind!r}")
    return f"{kind} {number(major)}:{number(minor)} {rule.get('access') or 'rwm'}"


def _devices(directory: Callable[[str], str], rules: Any) -> None:
    """What is allowed becomes what `rules` say, whatever was allowed before.

    A list is changed in its parts, so that nothing which stays allowed is denied for a moment. From "everything" to a
    list there is but one way, which the kernel goes only while no groups are below.
    """
    if not rules:
        return
    place = directory("devices")
    if os.path.exists(f"{place}/devices.list") and not (current := read(f"{place}/devices.list")).startswith("a "):
        from estiba.linux.cgroups import device_rules

        steps = device_rules.steps(current, rules)
        if steps is not None:
            for is_allowed, text in steps:
                write(f"{place}/devices.{'allow' if is_allowed else 'deny'}", text)
            return
        write(f"{place}/devices.allow", "a")
    for rule in rules:
        text = device_rule(rule)
        # The kernel knows "all" only as a whole.
        text = "a" if text.startswith("a ") else text
        try:
            write(f"{place}/devices.{'allow' if rule['allow'] else 'deny'}", text)
        except OSError as error:
            if error.errno != errno.EINVAL or text != "a":
                raise
            raise Conflict(f"the device rules of {place} cannot be replaced while there are groups below it") from None
    if any(not rule["allow"] for rule in rules):
        for text in DEFAULT_DEVICES:
            write(f"{place}/devices.allow", text)


def _cpu(directory: Callable[[str], str], cpu: Mapping[str, Any]) -> None:
    again = []
    for key, controller, file in _CPU:
        value = cpu.get(key)
        if key == "shares" and cpu.get("idle") == 1:
            continue  # an idle group has none
        is_back = key in ("idle", "burst") and value == 0 and os.path.exists(f"{directory(controller)}/{file}")
        if not value and not is_back:
            continue
        try:
            write(f"{directory(controller)}/{file}", str(value))
        except OSError as error:
            if error.errno != errno.EINVAL or not cpu.get(_MOVE_TOGETHER.get(key, "")):
                raise
            again.append((f"{directory(controller)}/{file}", str(value)))
    for name, text in again:
        write(name, text)


def _memory(directory: Callable[[str], str], memory: Mapping[str, Any]) -> None:
    if not any(memory.values()):
        return
    place = directory("memory")
    limit, swap = memory.get("limit"), memory.get("swap")
    if memory.get("checkBeforeUpdate"):
        refuse_less_than_used(limit, f"{place}/memory.usage_in_bytes")
        refuse_less_than_used(swap, f"{place}/memory.memsw.usage_in_bytes")
    if limit == -1 and not swap and os.path.exists(f"{place}/memory.memsw.limit_in_bytes"):
        swap = -1  # unlimited memory has always meant swap too
    steps = []
    if limit:
        steps.append(("memory.limit_in_bytes", limit))
    if swap:
        if not os.path.exists(f"{place}/memory.memsw.limit_in_bytes"):
            if not (limit and swap == limit * 2) and swap != -1 and swap != limit:
                raise Unavailable(
                    "the kernel does not count swap (boot with swapaccount=1)", remedy="Give no swap limit."
                )
        else:
            steps.append(("memory.memsw.limit_in_bytes", swap))
            # memory+swap may never be below memory: the order depends on which way the limits move.
            current = int(read(f"{place}/memory.memsw.limit_in_bytes"))
            if limit and (swap == -1 or swap > current):
                steps.reverse()
    if memory.get("reservation"):
        steps.append(("memory.soft_limit_in_bytes", memory["reservation"]))
    if memory.get("kernelTCP"):
        steps.append(("memory.kmem.tcp.limit_in_bytes", memory["kernelTCP"]))
    if memory.get("swappiness") is not None:
        steps.append(("memory.swappiness", memory["swappiness"]))
    if memory.get("disableOOMKiller"):
        steps.append(("memory.oom_control", 1))
    for file, value in steps:
        try:
            write(f"{place}/{file}", str(value))
        except FileNotFoundError:
            raise Unavailable(f"the kernel does not have {file}") from None


def _block_io(directory: Callable[[str], str], block_io: Mapping[str, Any]) -> None:
    if not any(block_io.values()):
        return
    place = directory("blkio")
    if block_io.get("weight"):
        _write_first(place, ("blkio.bfq.weight", "blkio.weight"), str(block_io["weight"]))
    if block_io.get("leafWeight"):
        _write_first(place, ("blkio.leaf_weight",), str(block_io["leafWeight"]))
    for numbers, weight in limits.device_weights(block_io):
        _write_first(place, ("blkio.bfq.weight_device", "blkio.weight_device"), f"{numbers} {weight}")
    for numbers, weight in limits.device_weights(block_io, key="leafWeight"):
        _write_first(place, ("blkio.leaf_weight_device",), f"{numbers} {weight}")
    for key, file in _THROTTLES:
        for entry in block_io.get(key) or ():
            write(f"{place}/{file}", f"{entry['major']}:{entry['minor']} {entry['rate']}")


def refuse_less_than_used(limit: int | None, *usage: str) -> None:
    """Raise Conflict where `limit` is below what the files `usage` count together: the kernel would begin to kill."""
    if limit and 0 < limit < (used := sum(int(read(file)) for file in usage if os.path.exists(file))):
        raise Conflict(f"the memory limit {limit} is below the {used} bytes in use", remedy="Choose a higher limit.")


def _write_first(place: str, names: tuple[str, ...], text: str) -> None:
    for name in names:
        if os.path.exists(f"{place}/{name}"):
            write(f"{place}/{name}", text)
            return
    raise Unavailable(f"the kernel has no {names[0]}: weights of block devices need the bfq scheduler")
