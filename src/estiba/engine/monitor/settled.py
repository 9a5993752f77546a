"""The lean program of a monitor: its container runs, and nothing else is to be done (`settling`)."""

from __future__ import annotations

import os
import sys
import time

from estiba.engine.monitor import settling, stamp
from estiba.engine.monitor.serving import Serving
from estiba.linux.signals import SIGHUP, SIGINT, SIGQUIT, handle
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn


def main(program: str, descriptor: int) -> NoReturn:
    """Go on as `program`, lean or full, with the state behind `descriptor`; ends the process."""
    for number in (SIGHUP, SIGINT, SIGQUIT):
        handle(number, lambda _number, _frame: None)
    os.umask(0o022)
    state, rest = settling.received(descriptor)
    serving = Serving.restored(state)
    if program == "lean":
        _serve(serving, rest)
        if not stamp.is_as_loaded():
            settling.execute(serving, rest, status=serving.status)
    from estiba.engine.monitor.life import go_on

    go_on(serving, rest)
    sys.stderr.flush()
    os._exit(0)


def _serve(serving: Serving, rest: bytes) -> None:
    """Until the container has ended. What execs have loaded is shed when none comes any more."""
    while serving.status is None:
        execs = serving.execs
        if execs is None or not execs.last:
            serving.loop.turn()
        elif not serving.loop.turn(execs.last + settling.AFTER_EXEC) and not settling.execute(serving, rest):
            execs.last = time.monotonic()  # an exec is under way; ask again later
