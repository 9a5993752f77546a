"""How the kernel treats this process among others: processor time, disk time, processors, memory nodes."""

from __future__ import annotations

import ctypes
import os
import struct

from estiba.errors import InvalidInput, NotThereYet
from estiba.linux.libc import machine, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBERS = {
    "x86_64": {"sched_setattr": 314, "ioprio_set": 251, "set_mempolicy": 238},
    "aarch64": {"sched_setattr": 274, "ioprio_set": 30, "set_mempolicy": 237},
}

POLICIES: dict[str, int] = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
POLICY_FLAGS: dict[str, int] = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES: dict[str, int] = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
MEMORY_MODES: dict[str, int] = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS: dict[str, int] = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}
_IO_CLASS_SHIFT = 13
_MOST_NODES = 1024


def set_policy(
    policy: str,
    *,
    flags: Iterable[str] = (),
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """Choose how this process gets processor time (sched_setattr(2)); times are nanoseconds.

    Raises:
        InvalidInput: an unknown policy or flag. OSError: as sched_setattr(2).
    """
    attributes = struct.pack(
        "=IIQiIQQQ",
        48,
        _known(POLICIES, policy, "scheduling policy"),
        _joined(POLICY_FLAGS, flags, "scheduling flag"),
        nice,
        priority,
        runtime,
        deadline,
        period,
    )
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    syscall(_number("sched_setattr"), 0, ctypes.byref(buffer), 0, what=f"set the scheduling policy {policy}")


def set_io_priority(kind: str, priority: int) -> None:
    """Choose how this process gets disk time (ioprio_set(2)): class and 0 (first) to 7.

    Raises:
        InvalidInput: an unknown class or priority. OSError: as ioprio_set(2).
    """
    if not 0 <= priority <= 7:
        raise InvalidInput(f"an I/O priority is 0 to 7, not {priority}")
    value = _known(IO_CLASSES, kind, "I/O class") << _IO_CLASS_SHIFT | priority
    process = 1
    syscall(_number("ioprio_set"), process, 0, value, what=f"set the I/O priority {kind} {priority}")


def set_memory_policy(mode: str, nodes: str, flags: Iterable[str] = ()) -> None:
    """Choose the nodes that memory comes from (set_mempolicy(2)); `nodes` is a list such as ``0-1,3``.

    Raises:
        InvalidInput: an unknown mode, flag or list. OSError: as set_mempolicy(2).
    """
    number = _known(MEMORY_MODES, mode, "memory policy") | _joined(MEMORY_FLAGS, flags, "flag of a memory policy")
    mask = 0
    for node in parse_list(nodes, most=_MOST_NODES):
        mask |= 1 << node
    raw = ctypes.create_string_buffer(mask.to_bytes(_MOST_NODES // 8, "little"), _MOST_NODES // 8)
    # The kernel takes one bit less than it is told.
    pointer, size = (ctypes.byref(raw), _MOST_NODES + 1) if mask else (None, 0)
    syscall(_number("set_mempolicy"), number, pointer, size, what=f"set the memory policy {mode} {nodes}")


def set_processors(text: str) -> None:
    """Run only on the processors of a list such as ``0-1,3``.

    Raises:
        InvalidInput: no such list. OSError: none of them is there, or allowed.
    """
    os.sched_setaffinity(0, parse_list(text, most=1 << 16))


def parse_list(text: str, *, most: int) -> set[int]:
    """The numbers below `most` in a list of the kernel's kind.

    Raises:
        InvalidInput: it is none.
    """
    found: set[int] = set()
    for piece in text.split(",") if text.strip() else ():
        first, dash, last = piece.strip().partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise InvalidInput(f"{text!r} is no list such as 0-1,3")
        low, high = int(first), int(last or first)
        if high >= most or low > high:
            raise InvalidInput(f"{text!r} is no list of numbers below {most}")
        found.update(range(low, high + 1))
    return found


def _known(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise InvalidInput(f"there is no {what} {name!r}", remedy=f"Known: {', '.join(table)}.")
    return table[name]


def _joined(table: dict[str, int], names: Iterable[str], what: str) -> int:
    value = 0
    for name in names:
        value |= _known(table, name, what)
    return value


def _number(call: str) -> int:
    name = machine()
    if name not in _NUMBERS:
        raise NotThereYet(f"{call} on {name} is not there yet")
    return _NUMBERS[name][call]
