"""One copy of files into or out of a container, as a process of its own: the daemon has threads and must not fork.

    python -I -S copying.py ROOT RUN SNAPSHOTTER SOURCE TARGET
    python -I -S copying.py ROOT RUN SNAPSHOTTER CONTAINER

The latter writes all files of a container to standard output. It finds the package by its own place, and nothing by the
directory in which the daemon happens to have been started.
What goes wrong is told on standard error as JSON: the kind of the error, its message and its remedy.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estiba.engine.copying.copy import copy
from estiba.engine.copying.export import export
from estiba.engine.copying.plan import parse_place
from estiba.errors import EstibaError
from estiba.oci import json_text
from estiba.wiring.house import House
from estiba.wiring.settings import read


def main(words: list[str]) -> int:
    root, run, snapshotter, *places = words
    settings = read(dict(os.environ), root=root, run=run, snapshotter=snapshotter)
    house = House(settings)
    try:
        if len(places) == 1:
            export(house.engine, places[0], 1)
        else:
            source, target = places
            copy(house.engine, parse_place(source), parse_place(target), keeps_owners=True)
    except EstibaError as error:
        told = {
            "kinds": [kind.__name__ for kind in type(error).__mro__],
            "message": error.message,
            "remedy": error.remedy,
        }
        sys.stderr.write(json_text.dumps(told))
        return 1
    finally:
        house.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
