"""Limits in the files of control groups version 2 (runtime-spec, config-linux.md; the kernel's cgroup-v2 document)."""

from __future__ import annotations

import errno
import math
import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux.cgroups import limits
from estiba.linux.cgroups.files import read, write
from estiba.linux.cgroups.v1 import refuse_less_than_used, refuse_unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Those that a threaded group can have.
_THREADED = frozenset(("cpu", "cpuset", "perf_event", "pids"))


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
    """Set `resources` on the group whose directory is given. What they leave unsaid stays as it is.

    Raises:
        InvalidInput: a limit without meaning. Conflict: a memory limit below what is used, where that is to be checked.
        Unavailable: a limit needs a controller that is not there, or that a threaded group cannot have.
    """
    refuse_unsupported(resources)
    resources = completed(directory, resources)
    wanted = [pair for pair in files(resources) if not _changes_nothing(directory, resources, *pair)]
    memory = resources.get("memory") or {}
    if memory.get("checkBeforeUpdate"):
        refuse_less_than_used(memory.get("limit"), f"{directory}/memory.current")
        refuse_less_than_used(memory.get("swap"), f"{directory}/memory.current", f"{directory}/memory.swap.current")
    huge = limits.huge_pages(resources.get("hugepageLimits") or (), unified=True)
    _settle_type(directory, {file.partition(".")[0] for file in (*dict(wanted), *(file for file, _, _ in huge))})
    for file, value, is_needed in huge:
        if is_needed or os.path.exists(f"{directory}/{file}"):
            _write(directory, file, value)
    again = []
    for file, value in wanted:
        try:
            _write(directory, file, value)
        except OSError as error:
            # A burst may never be more than the quota, so which comes first depends on the way they move.
            if error.errno != errno.EINVAL or file != "cpu.max.burst" or "cpu.max" not in dict(wanted):
                raise
            again.append((file, value))
    for file, value in again:
        _write(directory, file, value)
    rules = resources.get("devices") or ()
    if rules:
        from estiba.linux.cgroups import devices

        devices.restrict(directory, rules)


def completed(directory: str, resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """`resources`, with the other half of what one file or one sum holds as it is now: the quota's period or the
    period's quota, and the memory that belongs to memory + swap."""
    cpu, memory = dict(resources.get("cpu") or {}), dict(resources.get("memory") or {})
    if bool(cpu.get("quota")) != bool(cpu.get("period")):
        quota, _, period = _text(directory, "cpu.max").partition(" ")
        if period.isdigit():
            cpu["period"] = cpu.get("period") or int(period)
            cpu["quota"] = cpu.get("quota") or (int(quota) if quota.isdigit() else -1)
    if (memory.get("swap") or 0) > 0 and not memory.get("limit"):
        current = _text(directory, "memory.max")
        if current.isdigit():
            memory["limit"] = int(current)
    return {**resources, "cpu": cpu, "memory": memory}


def files(resources: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to write into which file, in this order. Pure."""
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
    wanted += _cpu(resources.get("cpu") or {})
    pids = resources.get("pids") or {}
    if pids.get("limit"):
        wanted.append(("pids.max", _maximum(pids["limit"])))
    wanted.extend(_block_io(resources.get("blockIO") or {}))
    wanted.extend(limits.rdma(resources.get("rdma") or {}))
    for file, text in (resources.get("unified") or {}).items():
        if _is_file(file):
            # One line is one write: what is set for several devices has a line for each.
            wanted.extend((file, line) for line in str(text).strip().splitlines() or [""])
    return wanted


def _cpu(cpu: Mapping[str, Any]) -> list[tuple[str, str]]:
    wanted: list[tuple[str, str]] = []
    if cpu.get("idle") is not None:
        # Before the weight, which the kernel refuses while a group is idle.
        wanted.append(("cpu.idle", str(cpu["idle"])))
    if cpu.get("shares") and cpu.get("idle") != 1:
        wanted.append(("cpu.weight", str(weight_of_shares(cpu["shares"]))))
    if cpu.get("burst") is not None:
        wanted.append(("cpu.max.burst", str(cpu["burst"])))
    if cpu.get("quota") or cpu.get("period"):
        quota = cpu.get("quota") or -1
        wanted.append(("cpu.max", f"{'max' if quota < 0 else quota} {cpu.get('period') or 100000}"))
    if cpu.get("realtimeRuntime") or cpu.get("realtimePeriod"):
        raise InvalidInput("control groups version 2 have no realtime limits")
    for key, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        if cpu.get(key):
            wanted.append((file, str(cpu[key])))
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
    if not limit:
        raise InvalidInput("a swap limit needs a memory limit")
    if limit < 0:
        return str(swap)  # memory without a limit leaves nothing to subtract
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
    controller, dot, file = name.partition(".")
    if "/" in name or not (controller and dot and file) or controller == "cgroup":
        raise InvalidInput(f"{name!r} cannot be set through `unified`, which takes CONTROLLER.FILE")
    return True


def _write(directory: str, file: str, text: str) -> None:
    name = f"{directory}/{file}"
    if not os.path.exists(name) and file == "io.weight" and os.path.exists(f"{directory}/io.bfq.weight"):
        # The scheduler BFQ has a file of its own, of 1 to 1000.
        words = text.split()
        file, text = "io.bfq.weight", " ".join((*words[:-1], str(_bfq_weight(int(words[-1])))))
        name = f"{directory}/{file}"
    if not os.path.exists(name):
        controller = file.partition(".")[0]
        if controller in _text(directory, "cgroup.controllers").split():
            raise Unavailable(f"the kernel has no {file} for {directory}")
        raise Unavailable(f"the cgroup controller {controller!r} is not enabled for {directory}")
    write(name, text)


def _changes_nothing(directory: str, resources: Mapping[str, Any], file: str, value: str) -> bool:
    """Whether the kernel lacks the file, and would do no other with it.

    Without counting swap: unlimited swap, none at all, or as much as there is memory, which is what engines ask for
    when nobody said a word of it.
    """
    if file not in ("memory.swap.max", "cpu.idle", "cpu.max.burst") or os.path.exists(f"{directory}/{file}"):
        return False
    if file != "memory.swap.max":
        return value == "0"
    memory = resources.get("memory") or {}
    counts_memory = os.path.exists(f"{directory}/memory.max")
    return counts_memory and (value in ("max", "0") or memory.get("swap") == 2 * (memory.get("limit") or 0))


def _settle_type(directory: str, controllers: set[str]) -> None:
    """A group below one that has processes of its own takes none until it is threaded (cgroup-v2.rst, "Threads").

    Raises:
        Unavailable: `controllers` has one that threaded groups cannot have.
    """
    kind = _text(directory, "cgroup.type")
    if kind not in ("domain invalid", "threaded"):
        return
    lacking = sorted(controllers - _THREADED)
    if lacking:
        raise Unavailable(
            f"the limits of {', '.join(lacking)} cannot be kept for {directory}: a group above it has processes of its"
            " own, so it is threaded",
            remedy="Choose another cgroupsPath, below a group without processes.",
        )
    if kind == "domain invalid":
        write(f"{directory}/cgroup.type", "threaded")


def _text(directory: str, file: str) -> str:
    try:
        return read(f"{directory}/{file}").strip()
    except OSError:
        return ""


def _bfq_weight(weight: int) -> int:
    """Version 2's 1…10000 back on the scale of 10…1000 that it was given in."""
    return 10 + round((weight - 1) * 990 / 9999)


def _maximum(value: int) -> str:
    return "max" if value < 0 else str(value)
