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
        Stage.find(Path(sys.argv[2])).strike()
        return 0
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    telling = Telling()
    stage = Stage.set_up()
    keep = False
    try:
        story = Story(stage, telling)
        story.tell()
        keep = bool(os.environ.get("KEEP"))
        if keep:
            story.tell_addresses()
    except Failed as failure:
        telling.failure(str(failure))
        return 1
    except KeyboardInterrupt:
        telling.failure("Interrupted.")
        return 130
    finally:
        if not keep:
            # A second Ctrl-C must not leave half of it behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stage.strike()
    if not keep:
        telling.fact("Nothing is left of it: no process, no container, no network, no file.")
    return 0


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
