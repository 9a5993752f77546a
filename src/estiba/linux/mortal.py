"""Programs that end with whoever started them, also after a `kill -9` of that one (PR_SET_PDEATHSIG, prctl(2))."""

from __future__ import annotations

import os

from estiba.linux.processes import die_with_parent
from estiba.linux.signals import restore_defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def spawn(program: str, command: list[str], environment: Mapping[str, str], *, descriptors: Mapping[int, int]) -> int:
    """Start `program`, which the kernel kills at the end of this process; gives its process id.

    This process has one thread, for it is that one's end which counts. `descriptors` are those of the program, and
    which of ours each of them is; ours have higher numbers than any of its own. The kernel forgets the promise when the
    program changes its user or gains capabilities, as a set-id program does.
    """
    caller = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with_parent()
            if os.getppid() == caller:  # else it has ended meanwhile
                restore_defaults()
                for number, ours in descriptors.items():
                    os.dup2(ours, number)
                os.execve(program, command, environment)
        finally:
            os._exit(127)
    return pid
