"""The executable of one step: reads a job from stdin, does it, writes the outcome to `outcome.json` in its directory.

Started as ``python -I -S process.py``, so it finds the package by its own place and imports little. The parent's death
ends it (PR_SET_PDEATHSIG), and SIGTERM is what cancels it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import NoReturn

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from estiba.builder.step.job import CopyAction, DirectoryAction, Job, Outcome, Place, RunAction, decode
from estiba.errors import EstibaError, Unavailable
from estiba.linux import mounts
from estiba.linux.processes import die_with_parent


def main() -> NoReturn:
    """Do the job that stands on stdin; the exit status tells only whether there is an outcome."""
    die_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _cancelled)
    if os.getppid() == 1:
        os._exit(1)
    job = decode(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        outcome = _do(job)
    except EstibaError as error:
        outcome = Outcome(kind=type(error).__name__, message=error.message, remedy=error.remedy)
    except OSError as error:
        outcome = Outcome(kind="OSError", message=str(error.strerror and error) or repr(error))
    with open(f"{job.directory}/outcome.json", "w", encoding="utf-8") as file:
        json.dump(outcome, file)
    sys.stdout.flush()
    os._exit(0)


class _Cancel(BaseException):
    """SIGTERM came; unwinds through everything."""


def _cancelled(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Cancel


def _do(job: Job) -> Outcome:
    root = _raise_root(job)
    if isinstance(job.action, RunAction):
        from estiba.builder.step.running import run

        return run(job, job.action, root)
    from estiba.builder.step.copying import copy, make_directory

    if isinstance(job.action, CopyAction):
        copy(job, job.action, root)
    else:
        assert isinstance(job.action, DirectoryAction)
        make_directory(job, job.action, root)
    return Outcome()


def _raise_root(job: Job) -> str:
    """The directory where the step's filesystem is, mounted first where it must be."""
    if os.geteuid() == 0:
        mounts.make_private_namespace()
    elif job.root.mounts:
        raise Unavailable(
            "this step needs to mount its filesystem, which only root may",
            remedy="Build as root, or with --snapshotter copying where the Dockerfile has no RUN.",
        )
    return raise_place(job.root, f"{job.directory}/rootfs")


def raise_place(place: Place, target: str) -> str:
    """Mount a place on `target`, which is made; gives where it can be read."""
    if not place.mounts:
        return place.directory
    os.mkdir(target, 0o700)
    mounts.mount_all(place.mounts, target)
    return target


if __name__ == "__main__":
    try:
        main()
    except _Cancel:
        os._exit(1)
