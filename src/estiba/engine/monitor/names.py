"""The name server of a container whose monitor has settled: loaded with a question, and shed when none comes."""

from __future__ import annotations

import os

from estiba.engine.monitor.loop import READ
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from estiba.engine.monitor.loop import Loop


class SleepingNames:
    """The doors at which questions come, and what `NameServer.state` has said. `wake` is called with each question."""

    last = 0.0

    def __init__(self, loop: Loop, state: dict[str, Any], wake: Callable[[], None]) -> None:
        self._loop = loop
        self._state = state
        for door in state["doors"]:
            loop.watch(door, READ, lambda _events: wake())

    def state(self) -> dict[str, Any]:
        """It again, for another program."""
        return self._state

    @property
    def descriptors(self) -> set[int]:
        """Those that are watched."""
        return set(self._state["doors"])

    def close(self) -> None:
        """Nobody is to answer any more."""
        for door in self._state["doors"]:
            self._loop.forget(door)
            os.close(door)
