"""Which filesystem a descriptor is on: a path alone can be made to look like procfs."""

from __future__ import annotations

import ctypes

from estiba.linux.libc import checked, libc

PROC = 0x9FA0
SYSFS = 0x62656572
DEVPTS = 0x1CD1
TMPFS = 0x01021994
OVERLAY = 0x794C7630
SELINUX = 0xF97CFF8C


def filesystem_type(descriptor: int) -> int:
    """The magic number (statfs(2), f_type) of the filesystem of an open file, O_PATH included."""
    buffer = ctypes.create_string_buffer(256)
    checked(libc.fstatfs(descriptor, buffer), f"fstatfs {descriptor}")
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
