"""Where blocking calls run: quick ones (a row, a file) apart from slow ones (a stop, a pull), which never hold them up.

The threads live as long as the daemon, for each has a connection to the database of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_QUICK = 16
_SLOW = 64


class Threads:
    """Two pools."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(_QUICK, thread_name_prefix="quick")
        self._slow = ThreadPoolExecutor(_SLOW, thread_name_prefix="slow")
        self._is_closed = False

    async def quick(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread, which ends in a moment."""
        return await asyncio.get_running_loop().run_in_executor(self._quick, lambda: function(*args, **kwargs))

    async def slow(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for what waits for a container or a network."""
        return await self.begin(function, *args, **kwargs)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """`slow` as a future."""
        return asyncio.get_running_loop().run_in_executor(self._slow, lambda: function(*args, **kwargs))

    async def made(self, make: Callable[P, T], undo: Callable[[T], object], *args: P.args, **kwargs: P.kwargs) -> T:
        """`slow` for what makes something that somebody must let go of: descriptors, directories, processes.

        Where whoever asked has gone away before it was there, `undo` lets go of it, in a thread too.
        """
        making = self.begin(make, *args, **kwargs)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda done: self._undo(done, undo))
            raise

    def _undo(self, done: asyncio.Future[T], undo: Callable[[T], object]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        if self._is_closed:
            undo(done.result())
        else:
            self.begin(undo, done.result())

    def close(self) -> None:
        """Take no more; what runs goes on without anybody waiting for it."""
        self._is_closed = True
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
