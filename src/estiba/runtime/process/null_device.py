"""The null device among a program's standard streams, made unchangeable.

Whoever starts a program without input gives it the host's own /dev/null, and the container's root is that file's owner:
chmod(2) through the descriptor would take it from everybody on the host. Through a read-only mount that exists nowhere
else the device can still be read and written (what a mount forbids is the change of files, not of devices), and nothing
of its inode can be changed.
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.linux import mountpoints as mp

_NULL = os.makedev(1, 3)


def guard() -> None:
    """Open the standard streams that are the null device again, through a read-only mount.

    Not where the caller lacks the right to mount: then it does not own the device either.
    """
    guarded = -1
    try:
        for number in (0, 1, 2):
            try:
                info = os.fstat(number)
            except OSError:
                continue  # the caller closed it
            if not stat.S_ISCHR(info.st_mode) or info.st_rdev != _NULL:
                continue
            if guarded < 0:
                guarded = _read_only(number)
            os.dup2(guarded, number)
    except PermissionError:
        if os.geteuid() == 0:
            raise
    finally:
        if guarded >= 0:
            os.close(guarded)


def _read_only(device: int) -> int:
    try:
        tree = mp.clone_tree(f"/proc/self/fd/{device}", recursive=False)
    except OSError as error:
        if error.errno != errno.EINVAL:  # opened in another mount namespace than ours
            raise
        tree = mp.clone_tree(os.devnull, recursive=False)
    try:
        mp.set_attributes(tree, 0x1, 0, recursive=False)
        return os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(tree)
