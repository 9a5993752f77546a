"""The null device among a program's standard streams, made unchangeable.

Whoever starts a program without input gives it the host's own /dev/null, and the container's root is that file's owner:
chmod(2) through the descriptor would take it from everybody on the host. Through a read-only mount that exists nowhere
else the device can still be read and written (what a mount forbids is the change of files, not of devices), and nothing
of its inode can be changed. Inside the container its own null device takes that place, which has a name there.
"""

from __future__ import annotations

import errno
import os
import stat

from estiba.linux import mountpoints as mp

_NULL = os.makedev(1, 3)
_STREAMS = (0, 1, 2)


def guard() -> None:
    """Open the standard streams that are the null device again, through a read-only mount.

    Not where the caller lacks the right to mount: then it does not own the device either.
    """
    guarded = -1
    try:
        for number in _STREAMS:
            if not _is_null(number):
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


def take_the_containers() -> None:
    """Replace the guarded device by /dev/null of the root that we are in, so that programs find the name they expect.

    Not where that is none, as an image or a process inside decides: then the guarded one stays.
    """
    numbers = [number for number in _STREAMS if _is_null(number)]
    if not numbers:
        return
    try:
        # Whatever lies there: no link is followed, no terminal taken, and a pipe does not make us wait.
        own = os.open(os.devnull, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return
    if _is_null(own):
        os.set_blocking(own, True)
        for number in numbers:
            os.dup2(own, number)
    os.close(own)


def _is_null(number: int) -> bool:
    try:
        info = os.fstat(number)
    except OSError:
        return False  # the caller closed it
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == _NULL


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
