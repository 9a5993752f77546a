"""What this kernel can limit that not every one can: nothing is asked of it that it would refuse."""

from __future__ import annotations

import os

from estiba.errors import Unavailable
from estiba.linux.namespaces import has_root


def counts_swap() -> bool:
    """Whether the kernel can limit swap: always with cgroup v2, with v1 if it was built so."""
    v1 = "/sys/fs/cgroup/memory"
    if not os.path.isdir(v1):
        return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return os.path.exists(f"{v1}/memory.memsw.limit_in_bytes")


def counts_pids() -> bool:
    """Whether the kernel can limit processes, and we may ask it to."""
    if not has_root():
        from estiba.linux.cgroups import delegation
        from estiba.linux.cgroups.layout import detect

        try:
            given = delegation.find(detect())
        except Unavailable:
            return False
        return given is not None and "pids" in given.controllers
    if os.path.isdir("/sys/fs/cgroup/pids"):
        return True
    try:
        with open("/sys/fs/cgroup/cgroup.controllers", encoding="ascii") as file:
            return "pids" in file.read().split()
    except OSError:
        return False
