"""The lean program of a monitor: its container runs, and nothing else is to be done (`settling`)."""

from __future__ import annotations

import os
import sys
import time

from estiba.engine.monitor import settling, stamp
from estiba.engine.monitor.serving import Serving
from estiba.errors import Conflict
from estiba.linux.signals import SIGHUP, SIGINT, SIGQUIT, handle
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from estiba.engine.monitor.life import Life


def main(program: str, descriptor: int) -> NoReturn:
    """Go on as `program`, lean or full, with the state behind `descriptor`; ends the process."""
    for number in (SIGHUP, SIGINT, SIGQUIT):
        handle(number, lambda _number, _frame: None)
    os.umask(0o022)
    state, rest = settling.received(descriptor)
    serving = Serving.restored(state)
    packed = _Packed(serving, rest)
    serving.life = packed.life
    if program == "lean":
        _serve(serving, packed)
        if not stamp.is_as_loaded() and not packed.is_open:
            settling.execute(serving, rest, status=serving.status)
    packed.life().go_on()
    sys.stderr.flush()
    os._exit(0)


class _Packed:
    """What the full program has packed, opened when it is needed: at the end, or when networks change."""

    def __init__(self, serving: Serving, data: bytes) -> None:
        self._serving = serving
        self._data = data
        self._life: Life | None = None

    @property
    def is_open(self) -> bool:
        return self._life is not None

    def life(self) -> Life:
        """It, opened.

        Raises:
            Conflict: the package on disk is another than that which packed it, and the container still runs.
        """
        if self._life is None:
            if self._serving.status is None and not stamp.is_as_loaded():
                raise Conflict(
                    "another version of Estiba has been installed since the container was started",
                    remedy="Restart the container.",
                )
            from estiba.engine.monitor.life import opened

            self._life = opened(self._data, self._serving)
        return self._life

    def data(self) -> bytes | None:
        """It, packed as it is now; None where it cannot be."""
        return self._data if self._life is None else self._life.packed()


def _serve(serving: Serving, packed: _Packed) -> None:
    """Until the container has ended. What execs have loaded is shed when none comes any more."""
    while serving.status is None:
        execs = serving.execs
        if execs is None or not execs.last:
            serving.loop.turn()
        elif not serving.loop.turn(execs.last + settling.AFTER_EXEC):
            rest = packed.data()
            if rest is None or not settling.execute(serving, rest):
                execs.last = time.monotonic()  # an exec is under way; ask again later
