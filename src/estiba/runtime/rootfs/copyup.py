"""Filling a new tmpfs with what it covers (the mount option `tmpcopyup`, which podman gives): descriptors only."""

from __future__ import annotations

import os
import stat


def copy_tree(source: int, target: int) -> None:
    """Copy the content of the directory `source` (O_PATH) into `target`: owners, modes, links; no devices."""
    origin = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source)
    try:
        for name in os.listdir(origin):
            info = os.stat(name, dir_fd=origin, follow_symlinks=False)
            _copy(name, info, origin, target)
    finally:
        os.close(origin)


def _copy(name: str, info: os.stat_result, origin: int, target: int) -> None:
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=origin), name, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
        return
    if stat.S_ISDIR(info.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner = os.open(name, os.O_PATH | flags, dir_fd=origin)
        made = os.open(name, os.O_RDONLY | flags, dir_fd=target)
        try:
            copy_tree(inner, made)
        finally:
            os.close(inner)
    elif stat.S_ISREG(info.st_mode):
        reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=origin)
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while os.sendfile(made, reading, None, 1 << 20):
                pass
        finally:
            os.close(reading)
    else:
        return
    os.fchown(made, info.st_uid, info.st_gid)
    os.fchmod(made, stat.S_IMODE(info.st_mode))
    os.utime(made, ns=(info.st_atime_ns, info.st_mtime_ns))
    os.close(made)
