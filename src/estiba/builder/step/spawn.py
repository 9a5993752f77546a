"""Starting a step's process and waiting for what it says."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from estiba import errors
from estiba.builder.step.job import Job, Outcome, encode
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancelled
from estiba.graph.protocols import Step
from estiba.store.snapshots.trees import remove_tree
from estiba.values import NamedTuple

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "process.py")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_CHUNK = 1 << 16
_TAIL = 20
_PATIENCE = 10_000
"""Milliseconds that the output of a step may stay open after its process has ended."""


class Finished(NamedTuple):
    """The command's exit code, the last lines that it printed, and a note on why it failed, "" where there is none."""

    exit_code: int
    tail: str
    note: str = ""


def spawn(job: Job, step: Step, *, when_killed: Callable[[], None]) -> Finished:
    """Do a job in its own process, showing its output through `step`; its directory is removed afterwards.

    `when_killed` is called where a signal ended the process before it could clean up.

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
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        with process:
            forget = step.cancellation.on_set(lambda: _terminate(process))
            feeder = threading.Thread(target=_feed, args=(process, encode(job)))
            feeder.start()
            try:
                tail = _show(process, step, when_killed)
                process.wait()
            except BaseException:
                _terminate(process)
                process.wait()
                raise
            finally:
                forget()
                feeder.join()
        step.cancellation.raise_if_set()
        outcome = _checked(job, process.returncode, tail)
        return Finished(outcome.exit_code, tail, outcome.note)
    finally:
        remove_tree(job.directory)


def attend(job: Job) -> None:
    """Do a job whose program has our own terminal, and wait for its end.

    Raises:
        EstibaError: what the process reported, of the same kind.
    """
    os.makedirs(job.directory, mode=0o700)
    reader, writer = os.pipe()
    try:
        words = [sys.executable, "-I", "-S", _PROGRAM, str(reader)]
        with subprocess.Popen(words, pass_fds=(reader,), env=_ENVIRONMENT) as process:
            os.close(reader)
            reader = -1
            with open(writer, "wb") as pipe:
                writer = -1
                pipe.write(encode(job))
            process.wait()
        _checked(job, process.returncode, "")
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
        remove_tree(job.directory)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(data)
    except BrokenPipeError:
        return  # it has ended, which is told elsewhere


def _show(process: subprocess.Popen[bytes], step: Step, when_killed: Callable[[], None]) -> str:
    """Pass the output on until its end; gives its last lines. A killed process may leave somebody who holds it open."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    ended = os.pidfd_open(process.pid)
    poller = select.poll()
    poller.register(output, select.POLLIN)
    poller.register(ended, select.POLLIN)
    tail = b""
    patience = None
    try:
        while events := poller.poll(patience):
            if any(descriptor == output for descriptor, _ in events):
                block = os.read(output, _CHUNK)
                if not block:
                    break
                step.output(block)
                tail = (tail + block)[-_CHUNK:]
            elif patience is None:
                poller.unregister(ended)
                patience = _PATIENCE
                if process.wait() < 0:
                    when_killed()
    finally:
        os.close(ended)
    if patience is None and process.wait() < 0:
        when_killed()
    return "\n".join(tail.decode("utf-8", "replace").splitlines()[-_TAIL:])


def _checked(job: Job, status: int, tail: str) -> Outcome:
    try:
        with open(f"{job.directory}/outcome.json", encoding="utf-8") as file:
            outcome = Outcome(*json.load(file))
    except FileNotFoundError:
        if status in (-signal.SIGTERM, 1) and not tail:
            raise Cancelled from None
        raise EstibaError(
            f"the step's process ended {_how(status)} before it was done", remedy=f"It said:\n{tail}" if tail else ""
        ) from None
    if outcome.kind:
        raise getattr(errors, outcome.kind)(outcome.message, remedy=outcome.remedy)
    return outcome


def _how(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status}"
