"""Network namespaces held by a descriptor: made, entered and left by one thread.

A namespace lives as long as a process is in it or a descriptor of it is open, so nothing is bind-mounted and nothing
stays behind when its last holder dies (network_namespaces(7)).
"""

from __future__ import annotations

import os

from estiba.linux.namespaces import CLONE_NEWNET, join, unshare

_OWN = "/proc/thread-self/ns/net"


class Inside:
    """The calling thread is in the network namespace `netns_fd` within the `with` block, and back in its own after it.

    Raises:
        OSError: not a network namespace, or not allowed (CAP_SYS_ADMIN over both namespaces is needed).
    """

    def __init__(self, netns_fd: int) -> None:
        self._target = netns_fd
        self._own = -1

    def __enter__(self) -> None:
        own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            join(self._target, CLONE_NEWNET)
        except OSError:
            os.close(own)
            raise
        self._own = own

    def __exit__(self, *_: object) -> None:
        try:
            join(self._own, CLONE_NEWNET)
        finally:
            os.close(self._own)


def make() -> int:
    """Make a network namespace and give back its descriptor; the thread stays in its own. Its `lo` is still down.

    Raises:
        OSError: not allowed (CAP_SYS_ADMIN), or the kernel's limit of namespaces is reached (ENOSPC).
    """
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            join(own, CLONE_NEWNET)
    finally:
        os.close(own)
