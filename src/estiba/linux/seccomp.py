"""Loading a seccomp filter into this process (seccomp(2)); what is in it is `runtime.seccomp`'s affair."""

from __future__ import annotations

import ctypes

from estiba.errors import NotThereYet
from estiba.linux.libc import machine, syscall

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
NEW_LISTENER = 8


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def load_filter(program: bytes, *, flags: int = 0) -> int:
    """Put this process and all that it will start under `program`, an array of struct sock_filter. For good.

    Needs no_new_privs, or CAP_SYS_ADMIN in the own user namespace. Gives the descriptor that hears of calls where
    `flags` has NEW_LISTENER, else 0.

    Raises:
        OSError: EACCES without either, EINVAL for a program that the kernel's checker refuses.
        NotThereYet: the machine's architecture is unknown.
    """
    name = machine()
    if name not in _SYS_SECCOMP:
        raise NotThereYet(f"seccomp filters on {name} are not there yet")
    buffer = ctypes.create_string_buffer(program, len(program))
    description = _Program(len(program) // 8, ctypes.addressof(buffer))
    return syscall(
        _SYS_SECCOMP[name], _SET_MODE_FILTER, flags, ctypes.byref(description), what="load the seccomp filter"
    )
