"""Whether the code of this package on disk is still that which this process has begun with.

A monitor lives as long as its container, and a newer Estiba may be installed meanwhile: modules of both in one process
would not fit together.
"""

from __future__ import annotations

import os

import estiba


def stamp() -> tuple[int, int]:
    """What tells one installation of the package from another; zeros where there is none."""
    try:
        info = os.stat(estiba.__file__)
    except OSError:
        return (0, 0)
    return (info.st_ino, info.st_mtime_ns)


_FIRST = stamp()


def is_as_loaded() -> bool:
    """Whether further modules may be loaded: the package is the one that this process has begun with."""
    return stamp() == _FIRST
