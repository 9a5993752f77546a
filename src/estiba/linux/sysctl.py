"""Settings of the kernel under /proc/sys; those below `net/` are of the thread's network namespace."""

from __future__ import annotations

import os

_ROOT = "/proc/sys/"


def read(name: str) -> str:
    """The value of ``net/ipv4/ip_forward``.

    Raises:
        OSError: there is no such setting.
    """
    descriptor = os.open(_ROOT + name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).decode().strip()
    finally:
        os.close(descriptor)


def write(name: str, value: str) -> None:
    """Set ``net/ipv4/ip_forward`` to `value`.

    Raises:
        OSError: there is no such setting, or it may not be changed (EACCES, EROFS).
    """
    descriptor = os.open(_ROOT + name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
