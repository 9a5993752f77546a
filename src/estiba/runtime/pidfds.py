"""The descriptor of a process, sent over a unix socket to whoever asked for it (runc's --pidfd-socket)."""

from __future__ import annotations

import os

from estiba.linux.processes import pidfd_open
from estiba.runtime import console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def sender(path: str) -> Callable[[int], None]:
    """A function that sends the descriptor of the process whose pid it gets; the socket is connected already.

    Raises:
        BadBundle: nobody listens there.
    """
    send = console.send_to_socket(path, name=os.path.basename(path), what="pidfd socket")
    return lambda pid: send(pidfd_open(pid))
