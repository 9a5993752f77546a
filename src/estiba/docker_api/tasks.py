"""Work on the loop that goes on when whoever asked for it has gone away."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Coroutine

from estiba.errors import EstibaError
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")


class Tasks:
    """Those that run. To wait for one as long as one likes, shield it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def close(self) -> None:
        for task in self._running:
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, EstibaError):  # those are told to whoever waits, who may have gone away
            traceback.print_exception(error, file=sys.stderr)
