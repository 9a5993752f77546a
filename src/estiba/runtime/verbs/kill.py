"""`kill`: a signal for a container's first process, or for all of them."""

from __future__ import annotations

import os

from estiba.linux.processes import parse_signal, pidfd_open, send_signal, start_time
from estiba.runtime.errors import WrongStatus
from estiba.runtime.state import load_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from estiba.runtime.arguments import Arguments


def run(asked: Arguments, root: str) -> int:
    container = load_container(root, asked.container_id())
    number = parse_signal(asked.operands[1] if len(asked.operands) > 1 else "TERM")
    if asked.has("all"):
        group = container.group
        if group is not None:
            try:
                group.signal_all(number)
            except FileNotFoundError:
                return 0
            return 0
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
    group = container.group
    if number == 9 and group is not None and group.is_frozen():
        group.thaw()  # a frozen process of version 1 cannot die
    return 0
