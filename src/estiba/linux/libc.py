"""The C library behind one function: a failed call is an `OSError` with the errno and what was asked."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

# System call numbers that the C library (glibc 2.36) does not wrap. These are the same on every architecture that
# uses the generic table, x86-64 included, because they are newer than the unification (Linux 5.1).
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


_PRETENDED = {"i686": "x86_64", "armv8l": "aarch64"}


def machine() -> str:
    """The architecture that this process runs on, ``x86_64`` or the like, also where its personality is 32-bit."""
    name = os.uname().machine
    return _PRETENDED.get(name, name) if sys.maxsize > 1 << 32 else name


def checked(result: int, what: str) -> int:
    """Give back `result`, or raise `OSError` with the current errno where it is -1.

    `what` is the operation and its object as a person would say it: ``mount proc on /proc``.
    """
    if result != -1:
        return result
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def syscall(number: int, *arguments: object, what: str) -> int:
    """Make the system call `number`; integers become C longs, bytes become pointers.

    Raises:
        OSError: the call failed; EINTR is tried again.
    """
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    while True:
        result: int = libc.syscall(ctypes.c_long(number), *converted)
        if result == -1 and ctypes.get_errno() == errno.EINTR:
            continue
        return checked(result, what)
