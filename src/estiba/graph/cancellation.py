"""Cancelling: one step's failure ends the others."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from estiba.errors import EstibaError


class Cancelled(EstibaError):
    """The work was given up because something else failed or the user said so."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class Cancellation:
    """Set once, from any thread; then every callback of a step that is under way is called, once."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal's handler sets it while its own thread may be inside
        self._is_set = False
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Give up: calls what `on_set` was given, in this thread."""
        with self._lock:
            self._is_set = True
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called (to kill a process, say); at once where it is set already.

        Returns a function that takes the callback back.
        """
        with self._lock:
            number, self._next = self._next, self._next + 1
            if not self._is_set:
                self._callbacks[number] = callback
                return lambda: self._forget(number)
        callback()
        return lambda: None

    def _forget(self, number: int) -> None:
        with self._lock:
            self._callbacks.pop(number, None)

    def raise_if_set(self) -> None:
        """Raises:
        Cancelled: it is set.
        """
        if self._is_set:
            raise Cancelled
