"""The part of the control groups of version 2 that an ordinary user was given (cgroup-v2.rst, "Delegation").

systemd gives each user who has logged in ``user@UID.service`` with all below it. What is there for a container is found
from our own group upwards: a process may be moved only where the user may also write on the way there.
"""

from __future__ import annotations

import os

from estiba.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.linux.cgroups.layout import Layout

REMEDY = (
    "Where systemd runs, log in as this user (ssh, or machinectl shell), with control groups of version 2; it gives"
    " memory and pids, and more by Delegate=cpu cpuset io memory pids in user@.service. Else leave the limits out, or"
    " let root run it."
)


class Delegated(NamedTuple):
    """The group `path`, below which the user may make others, and the `controllers` that those can have."""

    path: str
    controllers: tuple[str, ...]


def find(layout: Layout, *, own: str | None = None, may_write: Callable[[str], bool] | None = None) -> Delegated | None:
    """The highest group of the user's from our `own` upwards (default: where this process is); None: there is none.

    None with version 1 too, where nothing is given to users.
    """
    if not layout.is_unified:
        return None
    allowed = may_write or (lambda path: os.access(path, os.W_OK))
    current = _own_group() if own is None else own
    found = None
    while current is not None and _is_given(layout.unified + current, allowed):
        found = current
        current = current.rpartition("/")[0] if current.strip("/") else None
    return None if found is None else Delegated(found, _controllers(layout.unified + found))


def _is_given(directory: str, may_write: Callable[[str], bool]) -> bool:
    return all(may_write(directory + name) for name in ("", "/cgroup.procs", "/cgroup.subtree_control"))


def _controllers(directory: str) -> tuple[str, ...]:
    """Those that are enabled below, and those that can be: not while processes are in the group itself."""
    found = set(_words(f"{directory}/cgroup.subtree_control"))
    if not _words(f"{directory}/cgroup.procs"):
        found.update(_words(f"{directory}/cgroup.controllers"))
    return tuple(sorted(found))


def _own_group() -> str | None:
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n") for line in file]
    except FileNotFoundError:
        return None
    return next((line[3:].rstrip("/") for line in lines if line.startswith("0::")), None)


def _words(name: str) -> list[str]:
    try:
        with open(name, encoding="ascii", errors="replace") as file:
            return file.read().split()
    except OSError:
        return []
