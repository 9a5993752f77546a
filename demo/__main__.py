"""python -m demo            tells the story; KEEP=1 in the environment leaves everything running
python -m demo end DIR    ends what KEEP=1 left"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from demo.stage import Failed, Stage
from demo.story import Story
from demo.telling import Telling


def main() -> int:
    if sys.argv[1:2] == ["end"] and len(sys.argv) == 3:
        return end(Path(sys.argv[2]))
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    telling = Telling()
    stage = Stage.set_up()
    status = 0
    try:
        story = Story(stage, telling)
        story.tell()
        if os.environ.get("KEEP"):
            story.tell_addresses()
            return 0
    except Failed as failure:
        telling.failure(str(failure))
        status = 1
    except KeyboardInterrupt:
        telling.failure("Interrupted.")
        status = 130
    except BaseException:
        _strike(stage, telling)
        raise
    return _strike(stage, telling) or status


def end(directory: Path) -> int:
    """Ends what an earlier demo left running; gives the exit code."""
    telling = Telling()
    try:
        stage = Stage.find(directory)
    except FileNotFoundError:
        print(f"There is no demo in {directory}: it was ended already, or its name is another.", file=sys.stderr)
        return 1
    return _strike(stage, telling)


def _strike(stage: Stage, telling: Telling) -> int:
    """Takes everything down, whatever the user presses meanwhile; gives 1 if something is left, which it says."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        stage.strike()
    except Failed as failure:
        telling.failure(str(failure))
        return 1
    telling.fact("Nothing is left of it: no process, no container, no network, no file.")
    return 0


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
