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

    Raises:
        OSError: as execve(2); nothing runs.
    """
    caller = os.getpid()
    told, telling = _pipe_above(max(descriptors, default=2))
    try:
        pid = os.fork()
        if pid == 0:
            try:
                die_with_parent()
                if os.getppid() == caller:  # else it has ended meanwhile
                    restore_defaults()
                    for number, ours in descriptors.items():
                        os.dup2(ours, number)
                    os.execve(program, command, environment)
            except OSError as error:
                os.write(telling, b"%d" % (error.errno or 0))
            finally:
                os._exit(127)
        os.close(telling)
        telling = -1
        problem = os.read(told, 16)  # nothing: the program has begun, which closed the other end
    finally:
        os.close(told)
        if telling >= 0:
            os.close(telling)
    if problem:
        os.waitpid(pid, 0)
        raise OSError(int(problem), os.strerror(int(problem)), program)
    return pid


def _pipe_above(number: int) -> tuple[int, int]:
    """A pipe whose writing end is none of the descriptors up to `number`."""
    import fcntl

    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        return reading, fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, number + 1)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
