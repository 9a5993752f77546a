"""What systemd is told of a scope: resources of the runtime-spec as properties of a unit. Pure.

Not every limit has one (systemd.resource-control(5)); all of them are written into the group's files as well. systemd
must know those that it has, since it writes its own again whenever it likes (a daemon-reload).
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.linux.cgroups import limits, v2
from estiba.linux.cgroups.device_rules import ANY, allowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from estiba.linux.cgroups.systemd.names import Scope
    from estiba.linux.cgroups.systemd.variants import Variant

    Property = tuple[str, Variant]

UNLIMITED = (1 << 64) - 1
PERIOD = 100_000
_DEFAULT_WEIGHT = 100
_PERCENT = 10_000  # microseconds for each second: systemd counts in whole hundredths of a processor
_LARGEST_NUMBER = 1 << 16

# The first version of systemd that has a property, or takes a value of it.
_HAS_NUMBERED_DEVICES = 240
_HAS_QUOTA_PERIOD = 242
_HAS_CPUSET = 244
_HAS_IDLE = 252

_UNIFIED = {
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}
_THROTTLES = (
    ("throttleReadBpsDevice", "IOReadBandwidthMax", "BlockIOReadBandwidth"),
    ("throttleWriteBpsDevice", "IOWriteBandwidthMax", "BlockIOWriteBandwidth"),
    ("throttleReadIOPSDevice", "IOReadIOPSMax", ""),
    ("throttleWriteIOPSDevice", "IOWriteIOPSMax", ""),
)


def scope_properties(scope: Scope, pid: int, *, is_unified: bool) -> list[Property]:
    """What every container's scope has, with its first process `pid`."""
    counting = ("MemoryAccounting", "CPUAccounting", "IOAccounting" if is_unified else "BlockIOAccounting")
    return [
        ("Description", ("s", f"estiba container {scope.title}")),
        ("Slice", ("s", scope.slice)),
        ("Delegate", ("b", True)),
        ("PIDs", ("au", [pid])),
        *((name, ("b", True)) for name in (*counting, "TasksAccounting")),
        ("DefaultDependencies", ("b", False)),
    ]


def resource_properties(
    resources: Mapping[str, Any],
    *,
    is_unified: bool,
    version: int,
    has_devices: bool,
    groups: str = "",
    is_update: bool = False,
) -> list[Property]:
    """The properties that `resources` come to with systemd `version`.

    `has_devices`: the manager can guard devices (a user's cannot). `groups` is the text of /proc/devices. `is_update`:
    for a unit that runs, from which systemd does not take its guard of devices away, and whose list it adds to.

    Raises:
        InvalidInput: a limit that is none.
    """
    found: list[Property] = []
    if has_devices and resources.get("devices"):
        found += _devices(resources["devices"], version=version, groups=groups, is_update=is_update)
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    found += _memory(memory, is_unified=is_unified)
    found += _weight(cpu, is_unified=is_unified, version=version)
    found += _quota(cpu.get("quota") or 0, cpu.get("period") or 0, version=version)
    if version >= _HAS_CPUSET:
        found += _cpuset(cpu.get("cpus") or "", cpu.get("mems") or "")
    pids = (resources.get("pids") or {}).get("limit")
    if pids:
        found.append(("TasksMax", ("t", _maximum(pids))))
    found += _block_io(resources.get("blockIO") or {}, is_unified=is_unified)
    for file, text in (resources.get("unified") or {}).items():
        found += _unified(file, str(text).strip(), version=version)
    return found


def version_of(text: str) -> int:
    """The number in ``252.38-1~deb12u1`` or ``v245-1.fc32``; 0 where there is none."""
    digits = text.lstrip('"v')
    end = next((position for position, letter in enumerate(digits) if not letter.isdigit()), len(digits))
    return int(digits[:end] or 0)


def bits(text: str) -> list[int]:
    """``0-2,9`` as the bytes of a set, the first byte with the lowest numbers.

    Raises:
        InvalidInput: it is no list of numbers.
    """
    mask = 0
    for part in text.replace("\n", ",").split(","):
        first, dash, last = part.strip().partition("-")
        if not first and not dash:
            continue
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise InvalidInput(f"{text!r} is no list of processors or memory nodes, such as 0-3,6")
        low, high = int(first), int(last or first)
        if low > high or high >= _LARGEST_NUMBER:
            raise InvalidInput(f"{text!r} is no list of processors or memory nodes: {part} is no range")
        mask |= ((1 << (high - low + 1)) - 1) << low
    if not mask:
        raise InvalidInput(f"{text!r} names no processor or memory node")
    return list(mask.to_bytes((mask.bit_length() + 7) // 8, "little"))


def _memory(memory: Mapping[str, Any], *, is_unified: bool) -> list[Property]:
    limit, swap = memory.get("limit"), memory.get("swap")
    if not is_unified:
        return [("MemoryLimit", ("t", _maximum(limit)))] if limit else []
    found: list[Property] = []
    if limit:
        found.append(("MemoryMax", ("t", _maximum(limit))))
    if memory.get("reservation"):
        found.append(("MemoryLow", ("t", _maximum(memory["reservation"]))))
    if swap or (limit is not None and limit < 0):
        alone = v2.swap_only(limit, swap) if swap else "max"
        found.append(("MemorySwapMax", ("t", UNLIMITED if alone == "max" else int(alone))))
    return found


def _weight(cpu: Mapping[str, Any], *, is_unified: bool, version: int) -> list[Property]:
    shares, idle = cpu.get("shares"), cpu.get("idle")
    if not is_unified:
        return [("CPUShares", ("t", shares))] if shares else []
    if idle == 1 and version >= _HAS_IDLE:
        return [("CPUWeight", ("t", 0))]  # how systemd spells idle
    if shares:
        return [("CPUWeight", ("t", v2.weight_of_shares(shares)))]
    return [("CPUWeight", ("t", _DEFAULT_WEIGHT))] if idle == 0 and version >= _HAS_IDLE else []


def _quota(quota: int, period: int, *, version: int) -> list[Property]:
    found: list[Property] = []
    if period and version >= _HAS_QUOTA_PERIOD:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if quota or period:
        used = UNLIMITED
        if quota > 0:
            # Rounded up: a group below that asks for the quota itself must get it.
            used = -(-(quota * 1_000_000 // (period or PERIOD)) // _PERCENT) * _PERCENT
        found.append(("CPUQuotaPerSecUSec", ("t", used)))
    return found


def _cpuset(cpus: str, mems: str) -> list[Property]:
    pairs = (("AllowedCPUs", cpus), ("AllowedMemoryNodes", mems))
    return [(name, ("ay", bytes(bits(text)))) for name, text in pairs if text]


def _block_io(block_io: Mapping[str, Any], *, is_unified: bool) -> list[Property]:
    found: list[Property] = []
    weight = block_io.get("weight")
    devices = limits.device_weights(block_io)
    if not is_unified:
        if weight:
            found.append(("BlockIOWeight", ("t", weight)))
        if devices:
            found.append(("BlockIODeviceWeight", ("a(st)", [(f"/dev/block/{n}", w) for n, w in devices])))
    else:
        if weight:
            found.append(("IOWeight", ("t", v2.io_weight(weight))))
        if devices:
            found.append(("IODeviceWeight", ("a(st)", [(f"/dev/block/{n}", v2.io_weight(w)) for n, w in devices])))
    for key, unified_name, name in _THROTTLES:
        rates = [(f"/dev/block/{entry['major']}:{entry['minor']}", entry["rate"]) for entry in block_io.get(key) or ()]
        chosen = unified_name if is_unified else name
        if rates and chosen:
            found.append((chosen, ("a(st)", rates)))
    return found


def _unified(file: str, text: str, *, version: int) -> list[Property]:
    """One of `unified`; what systemd does not know is written into its file alone."""
    try:
        if file in _UNIFIED:
            return [(_UNIFIED[file], ("t", UNLIMITED if text == "max" else int(text)))]
        if file == "cpu.weight":
            return [("CPUWeight", ("t", int(text)))]
        if file == "cpu.idle":
            return _weight({"idle": int(text)}, is_unified=True, version=version)
        if file == "cpu.max":
            words = text.split()
            quota = -1 if words[0] == "max" else int(words[0])
            return _quota(quota, int(words[1]) if len(words) == 2 else PERIOD, version=version)
    except (ValueError, IndexError):
        raise InvalidInput(f"the unified resource {file} cannot be {text!r}") from None
    if file in ("cpuset.cpus", "cpuset.mems") and version >= _HAS_CPUSET:
        return _cpuset(*((text, "") if file == "cpuset.cpus" else ("", text)))
    return []


def _devices(rules: Any, *, version: int, groups: str, is_update: bool) -> list[Property]:
    """systemd knows lists of what is allowed. What no list can say is left to the group's own rules."""
    found = allowed(rules)
    if found is None or found.everything:
        everything = [(f"char-{ANY}", "rwm"), (f"block-{ANY}", "rwm")] if is_update else []
        return _guard("auto", everything, is_update=is_update)
    entries = []
    for (kind, major, minor), access in found.entries.items():
        word = "block" if kind == "b" else "char"
        if major != ANY and minor != ANY:
            entries.append((f"/dev/{word}/{major}:{minor}", access))
        elif minor == ANY:
            names = [ANY] if major == ANY else _group_names(kind, major, version=version, groups=groups)
            entries.extend((f"{word}-{name}", access) for name in names)
        else:  # every major number with this minor one: systemd cannot say it, and must not be in the way
            entries.append((f"{word}-{ANY}", access))
    return _guard("strict", entries, is_update=is_update)


def _guard(policy: str, entries: list[tuple[str, str]], *, is_update: bool) -> list[Property]:
    emptied: list[Property] = [("DeviceAllow", ("a(ss)", []))] if is_update else []
    return [("DevicePolicy", ("s", policy)), *emptied, ("DeviceAllow", ("a(ss)", entries))]


def _group_names(kind: str, major: str, *, version: int, groups: str) -> list[str]:
    """How systemd names all devices of a major number: by that number, or as older ones do by its name."""
    if version >= _HAS_NUMBERED_DEVICES:
        return [major]
    wanted, found = ("Block devices:" if kind == "b" else "Character devices:"), ""
    for line in groups.splitlines():
        if line.endswith(":"):
            found = line
        elif found == wanted and line.split()[:1] == [major]:
            return [line.split(maxsplit=1)[1].strip()]
    return []


def _maximum(value: int) -> int:
    return UNLIMITED if value < 0 else value
