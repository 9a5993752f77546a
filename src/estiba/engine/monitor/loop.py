"""Waiting for many descriptors at once: the smallest loop that serves a monitor."""

from __future__ import annotations

import os
import select
import time

from estiba.linux.signals import SIGCHLD, forget_wakeups, handle, wake_by
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]

_KEPT_FREE = 40
"""Descriptors that a monitor needs for everything else: its log, its record, and what the container's end takes."""

_LONGEST = (1 << 31) - 1
"""Milliseconds that poll(2) can be told to wait: 24 days."""

LITTLE = 0.05
"""Seconds until what cannot be done now is tried again, where nothing tells when it can."""

READ = select.POLLIN
WRITE = select.POLLOUT


class Loop:
    """Calls a handler with the events (POLLIN, POLLOUT, POLLHUP, POLLERR) of each watched descriptor."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        # A monitor has two doors, at which anybody of its user may stand in any number, and one for its container.
        self.room = max(4, (os.sysconf("SC_OPEN_MAX") - _KEPT_FREE) // 3)

    def watch(self, descriptor: int, mask: int, handler: Handler) -> None:
        """Call `handler` when `descriptor` is ready for `mask` or hung up; replaces an earlier watch.

        A mask of 0 leaves only errors and hang-ups, which would come again and again: it stops the watch.
        """
        if not mask:
            self.forget(descriptor)
            return
        if self._masks.get(descriptor) != mask:
            self._poll.register(descriptor, mask)
            self._masks[descriptor] = mask
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Stop watching. To be called before the descriptor is closed."""
        if self._masks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
            del self._handlers[descriptor]

    @property
    def descriptors(self) -> set[int]:
        """Those that are watched."""
        return set(self._masks)

    def turn(self, deadline: float | None = None) -> bool:
        """Wait for events, at the longest until `deadline` (monotonic seconds), and handle them.

        Gives whether there were any.
        """
        timeout = None if deadline is None else min(max(0, int((deadline - time.monotonic()) * 1000) + 1), _LONGEST)
        ready = self._poll.poll(timeout)
        for descriptor, events in ready:
            # A handler may have forgotten others of this round.
            if (handler := self._handlers.get(descriptor)) is not None:
                handler(events)
        return bool(ready)


def child_signals() -> int:
    """A descriptor that becomes readable when a child has ended; one of them at a time."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    wake_by(writing)
    handle(SIGCHLD, lambda _number, _frame: None)
    return reading


def stop_child_signals(reading: int) -> None:
    """Close the descriptor of `child_signals` and what writes to it."""
    os.close(forget_wakeups())
    os.close(reading)
