"""Signals to a container's first process, or to all of its processes."""

from __future__ import annotations

import os

from estiba.linux.processes import pidfd_open, send_signal, start_time
from estiba.runtime.errors import WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.linux.cgroups.group import Group
    from estiba.runtime.state import Container

_SIGKILL = 9


def signal_container(container: Container, number: int, *, everything: bool) -> None:
    """Send signal `number`.

    Raises:
        WrongStatus: the first process has ended (but `everything` may find none).
    """
    group = container.group
    if everything and group is not None:
        try:
            group.signal_all(number)
        except FileNotFoundError:
            pass
        return
    # Nobody ends with the first process where that is not the first of a namespace, and it may have ended before.
    if number == _SIGKILL and group is not None and not _has_own_pids(container) and _signalled(group):
        return
    container.require("created", "running", "paused", verb="kill")
    gone = WrongStatus(f"cannot kill container {container.id}: container not running")
    try:
        descriptor = pidfd_open(container.pid)
    except ProcessLookupError:
        raise gone from None
    try:
        # The descriptor is open: if the start time still fits now, it is the right process for good.
        if start_time(container.pid) != container.record["startTime"] or not send_signal(descriptor, number):
            raise gone
    finally:
        os.close(descriptor)
    if number == _SIGKILL and group is not None and group.is_frozen():
        group.thaw()  # a frozen process of version 1 cannot die


def _has_own_pids(container: Container) -> bool:
    namespaces = (container.config().get("linux") or {}).get("namespaces") or ()
    return any(namespace.get("type") == "pid" and not namespace.get("path") for namespace in namespaces)


def _signalled(group: Group) -> bool:
    """Whether there was a process to kill in the group."""
    try:
        if not group.processes():
            return False
        group.signal_all(_SIGKILL)
    except FileNotFoundError:
        return False
    return True
