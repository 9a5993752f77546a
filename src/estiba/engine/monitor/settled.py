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
    serving.begin_anew = packed.begin_anew
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

    def begin_anew(self) -> bool:
        """Execute the lean program again; where that comes back, whether it is possible later."""
        rest = self.data()
        return rest is not None and not settling.execute(self._serving, rest)

    def data(self) -> bytes | None:
        """It, packed as it is now; None where it cannot be."""
        return self._data if self._life is None else self._life.packed()


def _serve(serving: Serving, packed: _Packed) -> None:
    """Until the container has ended. What execs and questions have loaded is shed when none comes any more."""
    not_before = 0.0
    while serving.status is None:
        deadline = _quiet_from(serving)
        if deadline is None:
            serving.loop.turn()
        elif not serving.loop.turn(max(deadline, not_before)):
            rest = packed.data()
            if rest is None or not settling.execute(serving, rest):
                not_before = time.monotonic() + settling.AFTER_EXEC  # an exec is under way; ask again later


def _quiet_from(serving: Serving) -> float | None:
    """When nobody is likely to come again for what was loaded meanwhile; None where nothing was."""
    execs, names = serving.execs, serving.names
    times = [] if execs is None or not execs.last else [execs.last + settling.AFTER_EXEC]
    if names is not None and names.last:
        times.append(names.last + settling.AFTER_QUESTION)
    return max(times, default=None)
