"""Namespaces of other containers: of the very process that was meant, however long ago, and again at each restart."""

from __future__ import annotations

import os

from estiba.engine.lifecycle import RUNNING
from estiba.errors import Conflict
from estiba.linux.namespaces import NAMESPACES
from estiba.linux.processes import start_time
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.monitor.request import Borrowed, StartRequest
    from estiba.engine.records import Containers


def namespace_of(borrowed: Borrowed, kind: str = "") -> int:
    """A descriptor of a namespace of the other container's first process, which is proven to be that very one.

    The namespace is the borrowed one, or that of `kind`.

    Raises:
        Conflict: it has ended; another process may have its number.
    """
    try:
        descriptor = os.open(
            f"/proc/{borrowed.pid}/ns/{NAMESPACES[kind or borrowed.kind][1]}", os.O_RDONLY | os.O_CLOEXEC
        )
    except (FileNotFoundError, ProcessLookupError):
        raise _ended(borrowed) from None
    # After it was opened: a number that is given again meanwhile is another process's.
    if start_time(borrowed.pid) != borrowed.started:
        os.close(descriptor)
        raise _ended(borrowed)
    return descriptor


def found_again(request: StartRequest, containers: Containers) -> StartRequest:
    """The request with the processes that the other containers have now. Ids are held, whatever becomes of them.

    Raises:
        Conflict: one of them does not run. NoSuchContainer: it was removed.
    """
    return request._replace(
        borrowed=tuple(one if one.kind == "user" else _now(one, containers) for one in request.borrowed)
    )


def _now(borrowed: Borrowed, containers: Containers) -> Borrowed:
    other = containers.find(borrowed.container_id or borrowed.name)
    if other.state != RUNNING:
        raise not_running(other.name, borrowed.kind)
    return borrowed._replace(pid=other.pid, started=other.pid_start, name=other.name)


def not_running(name: str, kind: str) -> Conflict:
    """What is wrong where a container is to lend something and does not run."""
    return Conflict(
        f"container {name} is not running: its {_what(kind)} cannot be joined",
        remedy=f"Start it first: estiba start {name}",
    )


def _ended(borrowed: Borrowed) -> Conflict:
    return Conflict(
        f"container {borrowed.name} has ended: its {_what(borrowed.kind)} cannot be joined",
        remedy=f"Start it first: estiba start {borrowed.name}",
    )


def _what(kind: str) -> str:
    return {"network": "network", "user": "ids"}.get(kind, f"{kind} namespace")
