"""What ends a helper that does not see the end of its caller: a fork of the caller that waits for it.

It holds a descriptor of the helper's process (pidfd_open(2)), so it can end no other one that has got its number since.
"""

from __future__ import annotations

import os

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

_SIGKILL = 9
# /proc/self/stat, counted from the state on: where the command line begins and ends in memory (proc_pid_stat(5))
_ARGUMENTS = slice(45, 47)
_TITLE = b"estiba: ends the network's helper with the container's monitor"


def end_with_caller(process: int) -> int:
    """Kill the process behind the descriptor `process` as soon as the descriptor that this gives is closed, be it by a
    `kill -9` of the caller. The caller has one thread, and waits for its children."""
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    try:
        if os.fork() == 0:
            _watch(theirs, process)
    finally:
        os.close(theirs)
    return ours


def _watch(end: int, process: int) -> NoReturn:
    try:
        from estiba.linux.processes import close_all_but, send_signal
        from estiba.linux.signals import forget_wakeups

        forget_wakeups()
        # Not the lock of the container, nor the other end: who holds these is alive.
        close_all_but([end, process])
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        _rename()
        os.read(end, 1)
        send_signal(process, _SIGKILL)
    finally:
        os._exit(0)


def _rename() -> None:
    """Whoever lists processes shall not take us for our caller."""
    import ctypes

    with open("/proc/self/stat", "rb") as file:
        first, last = (int(field) for field in file.read().rpartition(b")")[2].split()[_ARGUMENTS])
    if 0 < last - first < 1 << 16:
        ctypes.memmove(first, _TITLE[: last - first - 1].ljust(last - first, b"\0"), last - first)
