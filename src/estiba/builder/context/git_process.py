"""The executable that becomes git: ``python -I -S git_process.py ARGUMENT…``.

It dies with the thread that started it (PR_SET_PDEATHSIG), and gives files the modes that the repository says, whatever
the caller's own umask.
"""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from estiba.linux.processes import die_with_parent

NOT_FOUND = 127


def main() -> None:
    """Become git; ends with 127 where there is none."""
    die_with_parent(signal.SIGKILL)
    os.umask(0o022)
    try:
        os.execvp("git", ["git", *sys.argv[1:]])
    except FileNotFoundError:
        os._exit(NOT_FOUND)


if __name__ == "__main__":
    main()
