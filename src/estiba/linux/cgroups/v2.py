"""Limits in the files of control groups version 2 (runtime-spec, config-linux.md; the kernel's cgroup-v2 document)."""

from __future__ import annotations

import math
import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux.cgroups import devices, limits
from estiba.linux.cgroups.files import read, write
from estiba.linux.cgroups.v1 import refuse_less_than_used, refuse_unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def delegate_controllers(root: str, path: str) -> None:
    """Enable every controller that there is, from the root down to the group's parent.

    One that cannot be enabled (a parent with processes of its own) is missed only by a limit that needs it.
    """
    current = root
    for part in path.strip("/").split("/"):
        for controller in read(f"{current}/cgroup.controllers").split():
            try:
                write(f"{current}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                continue
        current += "/" + part


def apply(directory: str, resources: Mapping[str, Any]) -> None:
    """Set `resources` on the group whose directory is given."""
    refuse_unsupported(resources)
    memory = resources.get("memory") or {}
    if memory.get("checkBeforeUpdate"):
        refuse_less_than_used(memory.get("limit"), f"{directory}/memory.current")
    for file, value, is_needed in limits.huge_pages(resources.get("hugepageLimits") or (), unified=True):
        if is_needed or os.path.exists(f"{directory}/{file}"):
            write(f"{directory}/{file}", value)
    for file, value in files(resources):
        name = f"{directory}/{file}"
        if not os.path.exists(name):
            raise Unavailable(f"the cgroup controller {file.partition('.')[0]!r} is not enabled for {directory}")
        write(name, value)
    rules = resources.get("devices") or ()
    if rules:
        devices.restrict(directory, rules)


def files(resources: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to write into which file. Pure."""
    wanted: list[tuple[str, str]] = []
    memory = resources.get("memory") or {}
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit:
        wanted.append(("memory.max", _maximum(limit)))
    if swap:
        wanted.append(("memory.swap.max", swap_only(limit, swap)))
    elif limit is not None and limit < 0:
        # Unlimited memory has always meant memory and swap: version 1 counts them together.
        wanted.append(("memory.swap.max", "max"))
    if memory.get("reservation"):
        wanted.append(("memory.low", _maximum(memory["reservation"])))
    if memory.get("disableOOMKiller"):
        raise InvalidInput("control groups version 2 cannot disable the OOM killer")
    for name in ("swappiness", "kernelTCP"):
        if memory.get(name) is not None:
            raise InvalidInput(f"control groups version 2 have no limit memory.{name}")
    if limits.network(resources.get("network") or {}):
        raise InvalidInput("control groups version 2 have no classes and priorities of networks")
    cpu = resources.get("cpu") or {}
    if cpu.get("idle") is not None:
        # Before the weight, which the kernel refuses while a group is idle.
        wanted.append(("cpu.idle", str(cpu["idle"])))
    if cpu.get("shares"):
        wanted.append(("cpu.weight", str(weight_of_shares(cpu["shares"]))))
    if cpu.get("quota") or cpu.get("period"):
        quota = cpu.get("quota") or -1
        wanted.append(("cpu.max", f"{'max' if quota < 0 else quota} {cpu.get('period') or 100000}"))
    if cpu.get("burst"):
        wanted.append(("cpu.max.burst", str(cpu["burst"])))
    if cpu.get("realtimeRuntime") or cpu.get("realtimePeriod"):
        raise InvalidInput("control groups version 2 have no realtime limits")
    for key, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        if cpu.get(key):
            wanted.append((file, str(cpu[key])))
    pids = resources.get("pids") or {}
    if pids.get("limit"):
        wanted.append(("pids.max", _maximum(pids["limit"])))
    wanted.extend(_block_io(resources.get("blockIO") or {}))
    wanted.extend(limits.rdma(resources.get("rdma") or {}))
    wanted.extend((file, str(value)) for file, value in (resources.get("unified") or {}).items() if _is_file(file))
    return wanted


def weight_of_shares(shares: int) -> int:
    """Version 1's 2…262144 shares on version 2's scale of 1…10000.

    Least, default (1024 shares, a weight of 100) and greatest meet. The straight line that runtimes took before gave
    1024 shares a weight of 39, so that a container lost against every group which had asked for nothing.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def swap_only(limit: int | None, swap: int) -> str:
    """The spec's swap is memory + swap; version 2 counts swap alone."""
    if swap < 0:
        return "max"
    if not limit or limit < 0:
        raise InvalidInput("a swap limit needs a memory limit")
    if swap < limit:
        raise InvalidInput(f"memory + swap ({swap}) is less than memory ({limit})")
    return str(swap - limit)


def _block_io(block_io: Mapping[str, Any]) -> list[tuple[str, str]]:
    wanted = []
    if block_io.get("weight"):
        wanted.append(("io.weight", str(io_weight(block_io["weight"]))))
    if block_io.get("leafWeight") or limits.device_weights(block_io, key="leafWeight"):
        raise InvalidInput("control groups version 2 have no leaf weights")
    wanted.extend(
        ("io.weight", f"{numbers} {io_weight(weight)}") for numbers, weight in limits.device_weights(block_io)
    )
    for key, word in (
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ):
        wanted.extend(
            ("io.max", f"{entry['major']}:{entry['minor']} {word}={entry['rate']}") for entry in block_io.get(key) or ()
        )
    return wanted


def io_weight(weight: int) -> int:
    """Version 1's 10…1000 on version 2's scale of 1…10000."""
    return 1 + (weight - 10) * 9999 // 990


def _is_file(name: str) -> bool:
    if "/" in name or name.startswith("cgroup."):
        raise InvalidInput(f"{name!r} cannot be set through `unified`")
    return True


def _maximum(value: int) -> str:
    return "max" if value < 0 else str(value)
