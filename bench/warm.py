"""Containers made one after the other by one process that has everything loaded: run by `rows.runtime`.

python -I -S warm.py SOURCE BUNDLE STATE NUMBER
"""

from __future__ import annotations

import os
import sys


def main(source: str, bundle: str, state: str, number: int) -> None:
    sys.path.insert(0, source)
    from estiba.runtime import lifecycle
    from estiba.runtime.bundle import load_bundle

    null = os.open(os.devnull, os.O_RDWR)
    for turn in range(number):
        container = lifecycle.create(
            state, f"warm-{turn}", load_bundle(bundle), on_terminal=None, streams=(null, null, null)
        )
        lifecycle.begin(container)
        os.waitpid(container.pid, 0)
        lifecycle.destroy(container)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
