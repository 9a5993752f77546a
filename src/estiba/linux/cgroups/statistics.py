"""What a control group has used so far, from the files of either version. Times are nanoseconds, sizes bytes."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from estiba.linux.cgroups.group import Group

_UNLIMITED = (1 << 64) - 1
_TICK = 10**7  # cpuacct.stat counts in USER_HZ, which is 100 on every architecture
_MICRO = 1000
_THROTTLING = (("periods", "nr_periods"), ("throttledPeriods", "nr_throttled"))
_BLOCK_V1 = (
    ("ioServiceBytesRecursive", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"),
    ("ioServicedRecursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"),
)
_BLOCK_V2 = (("ioServiceBytesRecursive", "bytes"), ("ioServicedRecursive", "ios"))


def read_statistics(group: Group) -> dict[str, Any]:
    """The numbers of `group` in the shape in which OCI runtimes print them (`events --stats`)."""
    if group.layout.is_unified:
        return _unified(group.layout.unified + group.path)
    return _classic({name: place + group.path for name, place in group.layout.controllers.items()})


def read_kills(group: Group) -> int:
    """How many processes of the group the kernel has killed for want of memory."""
    if group.layout.is_unified:
        return _table(f"{group.layout.unified}{group.path}/memory.events").get("oom_kill", 0)
    if "memory" not in group.layout.controllers:
        return 0
    return _table(f"{group.layout.controllers['memory']}{group.path}/memory.oom_control").get("oom_kill", 0)


def _classic(places: dict[str, str]) -> dict[str, Any]:
    cpu: dict[str, Any] = {"usage": {}, "throttling": {}}
    if place := places.get("cpuacct"):
        ticks = _table(f"{place}/cpuacct.stat")
        cpu["usage"] = {
            "total": _number(f"{place}/cpuacct.usage"),
            "percpu": [int(word) for word in _text(f"{place}/cpuacct.usage_percpu").split()],
            "kernel": ticks.get("system", 0) * _TICK,
            "user": ticks.get("user", 0) * _TICK,
        }
    if place := places.get("cpu"):
        table = _table(f"{place}/cpu.stat")
        cpu["throttling"] = {name: table.get(key, 0) for name, key in _THROTTLING}
        cpu["throttling"]["throttledTime"] = table.get("throttled_time", 0)
    return {
        "cpu": cpu,
        "memory": _classic_memory(places["memory"]) if "memory" in places else {},
        "pids": _pids(places["pids"]) if "pids" in places else {},
        "blkio": _classic_block(places["blkio"]) if "blkio" in places else {},
        "hugetlb": _huge_pages(places["hugetlb"], "usage_in_bytes", "max_usage_in_bytes")
        if "hugetlb" in places
        else {},
    }


def _classic_memory(place: str) -> dict[str, Any]:
    raw = _table(f"{place}/memory.stat")

    def part(kind: str) -> dict[str, int]:
        prefix = f"{place}/memory.{kind}"
        return {
            "limit": _number(prefix + "limit_in_bytes"),
            "usage": _number(prefix + "usage_in_bytes"),
            "max": _number(prefix + "max_usage_in_bytes"),
            "failcnt": _number(prefix + "failcnt"),
        }

    memory: dict[str, Any] = {"usage": part(""), "cache": raw.get("cache", 0), "raw": raw}
    for name, kind in (("swap", "memsw."), ("kernel", "kmem."), ("kernelTCP", "kmem.tcp.")):
        if os.path.exists(f"{place}/memory.{kind}usage_in_bytes"):
            memory[name] = part(kind)
    return memory


def _classic_block(place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, *files in _BLOCK_V1:
        file = next((name for name in files if os.path.exists(f"{place}/{name}")), files[0])
        found[key] = [
            {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
            for numbers, operation, value in (
                line.split() for line in _lines(f"{place}/{file}") if line.count(" ") == 2
            )
            for major, minor in (numbers.split(":"),)
        ]
    return found


def _unified(place: str) -> dict[str, Any]:
    cpu = _table(f"{place}/cpu.stat")
    raw = _table(f"{place}/memory.stat")
    throttling = {name: cpu.get(key, 0) for name, key in _THROTTLING}
    memory: dict[str, Any] = {"usage": _unified_memory(f"{place}/memory"), "cache": raw.get("file", 0), "raw": raw}
    memory["usage"]["failcnt"] = _table(f"{place}/memory.events").get("max", 0)
    if os.path.exists(f"{place}/memory.swap.current"):
        memory["swap"] = _unified_memory(f"{place}/memory.swap")
    return {
        "cpu": {
            "usage": {
                "total": cpu.get("usage_usec", 0) * _MICRO,
                "kernel": cpu.get("system_usec", 0) * _MICRO,
                "user": cpu.get("user_usec", 0) * _MICRO,
            },
            "throttling": throttling | {"throttledTime": cpu.get("throttled_usec", 0) * _MICRO},
        },
        "memory": memory if raw else {},
        "pids": _pids(place) if os.path.exists(f"{place}/pids.current") else {},
        "blkio": _unified_block(place),
        "hugetlb": _huge_pages(place, "current", "max"),
    }


def _unified_memory(prefix: str) -> dict[str, int]:
    return {
        "limit": _number(prefix + ".max"),
        "usage": _number(prefix + ".current"),
        "max": _number(prefix + ".peak"),
    }


def _unified_block(place: str) -> dict[str, Any]:
    found: dict[str, Any] = {key: [] for key, _ in _BLOCK_V2}
    for line in _lines(f"{place}/io.stat"):
        numbers, *pairs = line.split()
        major, _, minor = numbers.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs)
        for key, suffix in _BLOCK_V2:
            for operation, letter in (("Read", "r"), ("Write", "w"), ("Discard", "d")):
                if letter + suffix in values:
                    value = int(values[letter + suffix])
                    found[key].append({"major": int(major), "minor": int(minor), "op": operation, "value": value})
    return found


def _pids(place: str) -> dict[str, int]:
    limit = _number(f"{place}/pids.max")
    return {"current": _number(f"{place}/pids.current")} | ({"limit": limit} if limit != _UNLIMITED else {})


def _huge_pages(place: str, usage: str, most: str) -> dict[str, Any]:
    found = {}
    for name in sorted(os.listdir(place)):
        prefix, _, rest = name.partition(".")
        size, _, kind = rest.partition(".")
        if prefix == "hugetlb" and kind == usage:
            found[size] = {"usage": _number(f"{place}/{name}"), "max": _number(f"{place}/hugetlb.{size}.{most}")}
    return found


def _table(path: str) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: str) -> int:
    """The number in a file: 0 where the kernel does not count it, and the greatest for ``max``."""
    text = _text(path).strip()
    return _UNLIMITED if text == "max" else int(text or 0)


def _lines(path: str) -> list[str]:
    return _text(path).splitlines()


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
