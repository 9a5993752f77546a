"""Signals to a container's first process, or to all of its processes."""

from __future__ import annotations

import os

from estiba.linux.processes import pidfd_open, send_signal, start_time
from estiba.runtime.errors import WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
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
