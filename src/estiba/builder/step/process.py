"""The executable of one step: reads a job, does it, writes the outcome to `outcome.json` in its directory.

The job comes through stdin, or through the descriptor that is named, so that stdin stays what it is. Started as
``python -I -S process.py``, so it finds the package by its own place and imports little. The parent's death ends it
(PR_SET_PDEATHSIG), and SIGTERM is what cancels it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import NoReturn

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from estiba.builder.step.job import CopyAction, DirectoryAction, ExportAction, Job, Outcome, RunAction, decode
from estiba.builder.step.places import raise_place
from estiba.errors import CommandFailed, EstibaError, NotThereYet, Unavailable
from estiba.linux import mounts
from estiba.linux.processes import die_with_parent


def main() -> NoReturn:
    """Do the job that stands on stdin; the exit status tells only whether there is an outcome."""
    die_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _cancelled)
    if os.getppid() == 1:
        os._exit(1)
    job = decode(_given())
    try:
        outcome = _do(job)
    except EstibaError as error:
        outcome = Outcome(kind=_kind(error), message=error.message, remedy=error.remedy)
    except OSError as error:
        outcome = _system_error(error)
    sys.stdout.flush()
    try:
        _tell(outcome, f"{job.directory}/outcome.json")
    except OSError as error:
        print(_system_error(error).message, file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _given() -> bytes:
    if len(sys.argv) > 1:
        with open(int(sys.argv[1]), "rb") as pipe:
            return pipe.read()
    data = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return data


def _tell(outcome: Outcome, path: str) -> None:
    """The whole outcome, or none."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(outcome, file)
    os.rename(file.name, path)


def _kind(error: EstibaError) -> str:
    """The kind of a concrete error (`estiba.errors`), which its message travels with."""
    kinds = (kind for kind in type(error).__mro__ if kind.__module__ == EstibaError.__module__)
    # What a command's exit code was is told otherwise.
    return next(kind.__name__ for kind in kinds if kind is not CommandFailed)


def _system_error(error: OSError) -> Outcome:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Outcome(
            kind="Unavailable",
            message="no space is left on the disk of the store",
            remedy="Free some: `estiba gc` removes what nothing needs, `estiba df` shows what takes how much.",
        )
    what = error.strerror or repr(error)
    return Outcome(kind="EstibaError", message=f"{error.filename}: {what}" if error.filename else what)


class _Cancel(BaseException):
    """SIGTERM came; unwinds through everything."""


def _cancelled(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Cancel


def _do(job: Job) -> Outcome:
    _enter(job)
    if isinstance(job.action, RunAction):
        from estiba.builder.step.running import run

        return run(job, job.action)
    root = raise_place(job.root, f"{job.directory}/rootfs")
    if isinstance(job.action, ExportAction):
        from estiba.builder.step.exporting import export

        export(job.action, root)
        return Outcome()
    from estiba.builder.step.copying import copy, make_directory

    if isinstance(job.action, CopyAction):
        copy(job, job.action, root)
    else:
        assert isinstance(job.action, DirectoryAction)
        make_directory(job, job.action, root)
    return Outcome()


def _enter(job: Job) -> None:
    """Get a mount namespace of its own, where that is to be had."""
    if os.geteuid() == 0:
        mounts.make_private_namespace()
    elif isinstance(job.action, RunAction):
        raise NotThereYet(
            "RUN as an ordinary user is not there yet: only root can give it a filesystem and namespaces of its own",
            remedy="Build as root. COPY, ADD and WORKDIR alone need no root.",
        )
    elif job.root.mounts:
        raise Unavailable(
            "this step needs to mount its filesystem, which only root may",
            remedy="Build as root, or with --snapshotter copying and another --root.",
        )


if __name__ == "__main__":
    try:
        main()
    except _Cancel:
        os._exit(1)
