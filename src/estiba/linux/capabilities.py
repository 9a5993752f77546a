"""Capabilities of this process (capabilities(7)): five sets of numbered bits."""

from __future__ import annotations

import ctypes

from estiba.errors import InvalidInput
from estiba.linux.libc import checked, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of the kernel's numbers.
_IN_ORDER = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES: tuple[str, ...] = tuple("CAP_" + name for name in _IN_ORDER.split())
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
SETPCAP = 8
SYS_ADMIN = 21
SYS_RESOURCE = 24

_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4


def is_known(name: str) -> bool:
    """Whether there is a capability of this name (``CAP_CHOWN``)."""
    return name.upper() in _NUMBERS


def bits(names: Iterable[str]) -> int:
    """The set of the capabilities with these names (``CAP_CHOWN``) as a bit mask.

    Raises:
        InvalidInput: there is no such capability.
    """
    mask = 0
    for name in names:
        if name.upper() not in _NUMBERS:
            raise InvalidInput(f"there is no capability {name!r}")
        mask |= 1 << _NUMBERS[name.upper()]
    return mask


def current() -> tuple[int, int, int]:
    """The effective, permitted and inheritable sets of this thread."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    checked(libc.capget(header, data), "read the capabilities")
    return data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32


def set_current(effective: int, permitted: int, inheritable: int) -> None:
    """Change the three sets of this thread; permitted bits cannot come back."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = (ctypes.c_uint32 * 6)(
        effective & low, permitted & low, inheritable & low, effective >> 32, permitted >> 32, inheritable >> 32
    )
    checked(libc.capset(header, data), "set the capabilities")


def bounding() -> int:
    """The bounding set: what no exec can ever give beyond."""
    mask = 0
    for number in range(64):
        present = _prctl(_PR_CAPBSET_READ, number)
        if present < 0:
            break
        mask |= present << number
    return mask


def limit_bounding(keep: int) -> None:
    """Drop every capability from the bounding set that is not in `keep`. Needs CAP_SETPCAP if there is one to drop."""
    for number in range(64):
        present = _prctl(_PR_CAPBSET_READ, number)
        if present < 0:
            return
        if present and not keep >> number & 1:
            checked(_prctl(_PR_CAPBSET_DROP, number), f"drop capability {number} from the bounding set")


def keep_across_setuid(keep: bool) -> None:
    """Whether the permitted set survives a change from user 0 to another; the exec that follows ends it."""
    checked(_prctl(_PR_SET_KEEPCAPS, int(keep)), "keep the capabilities")


def set_ambient(mask: int) -> None:
    """Make exactly `mask` ambient: kept by programs without file capabilities. Must be permitted and inheritable."""
    checked(_prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL), "clear the ambient capabilities")
    for number in range(64):
        if mask >> number & 1:
            checked(_prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number), f"make capability {number} ambient")


def _prctl(option: int, a: int = 0, b: int = 0) -> int:
    result: int = libc.prctl(option, ctypes.c_ulong(a), ctypes.c_ulong(b), ctypes.c_ulong(0), ctypes.c_ulong(0))
    return result
