"""Starting a step's process and waiting for what it says."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import NamedTuple

from estiba import errors
from estiba.builder.step.job import Job, Outcome, encode
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancelled
from estiba.graph.protocols import Step

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "process.py")
_CHUNK = 1 << 16
_TAIL = 20


class Finished(NamedTuple):
    """The command's exit code, and the last lines that it printed."""

    exit_code: int
    tail: str


def spawn(job: Job, step: Step) -> Finished:
    """Do a job in its own process, showing its output through `step`; its directory is removed afterwards.

    Raises:
        EstibaError: what the process reported, of the same kind. Cancelled: the build was given up.
    """
    os.makedirs(job.directory, mode=0o700)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        with process:
            forget = step.cancellation.on_set(lambda: _terminate(process))
            feeder = threading.Thread(target=_feed, args=(process, encode(job)))
            feeder.start()
            try:
                tail = _show(process, step)
                process.wait()
            except BaseException:
                _terminate(process)
                process.wait()
                raise
            finally:
                forget()
                feeder.join()
        step.cancellation.raise_if_set()
        return Finished(_checked(job, process.returncode, tail), tail)
    finally:
        shutil.rmtree(job.directory, ignore_errors=True)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(data)


def _show(process: subprocess.Popen[bytes], step: Step) -> str:
    assert process.stdout is not None
    tail = b""
    while block := os.read(process.stdout.fileno(), _CHUNK):
        step.output(block)
        tail = (tail + block)[-_CHUNK:]
    return "\n".join(tail.decode("utf-8", "replace").splitlines()[-_TAIL:])


def _checked(job: Job, status: int, tail: str) -> int:
    try:
        with open(f"{job.directory}/outcome.json", encoding="utf-8") as file:
            outcome = Outcome(*json.load(file))
    except FileNotFoundError:
        if status in (-signal.SIGTERM, 1) and not tail:
            raise Cancelled from None
        raise EstibaError(f"the step's process ended with status {status} before it was done\n{tail}") from None
    if outcome.kind:
        kind = getattr(errors, outcome.kind, None)
        raise (kind if isinstance(kind, type) and kind is not errors.CommandFailed else EstibaError)(
            outcome.message, remedy=outcome.remedy
        )
    return outcome.exit_code
