"""What a test asks of `strike.py`, the tracer that kills a process of a command at one of its steps."""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

import strike

MOST = int(os.environ.get("ESTIBA_STRESS_STEPS", "5"))
"""How many steps of a command are struck; 0 is all of them."""
_TRACER = [sys.executable, "-I", "-S", strike.__file__]
PATIENCE = 120


class Step(NamedTuple):
    """One system call of a command: where (see `strike.py`), its name, and the files that it is about."""

    at: str
    call: str
    files: tuple[str, ...] = ()


class Struck:
    """A command under the tracer. `word` is the system call at which one of its processes was killed, "" for none.

    A context manager, which lets nothing live. `status` is the command's, once it has ended (-9: it was the victim).
    A strike may come when the command itself has ended, in what lives on of it: it is waited for where all of that
    `ends` by itself; else who acts on it meanwhile may end it before the strike.
    """

    def __init__(self, step: str, command: Sequence[str], *, errors: str = os.devnull, ends: bool = False) -> None:
        tracer = [*_TRACER, step, f"--errors={errors}", *command]
        self._process = subprocess.Popen(tracer, stdout=subprocess.PIPE, bufsize=0)
        self.status: int | None = None
        self._said = ""
        self.word = self._until("struck ", "missed" if ends else "ended").partition("struck ")[2]

    def __enter__(self) -> Struck:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()  # and with it all that it traces

    def settle(self) -> None:
        """Until the command itself has ended, whatever lives on of it."""
        self._until("ended")

    def _until(self, *beginnings: str) -> str:
        """The first line of the tracer's that begins so, or "" when there is no more."""
        assert self._process.stdout is not None
        while True:
            lines = self._said.split("\n")[:-1]
            if found := next((line for line in lines if line.startswith(beginnings)), ""):
                return found
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                pytest.fail("the struck command does not end")
            block = os.read(self._process.stdout.fileno(), 4096)
            if not block:
                return ""
            self._said += block.decode()

    def wait(self) -> None:
        """Until no process of the command, and none that came of it, is left."""
        try:
            rest, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail("a process of the struck command lives on")
        self._said += rest.decode()
        words = self._said.split()
        if "status" in words:
            self.status = int(words[-1])


def failing(step: Step, error: int) -> str:
    """The strike that kills nobody: the call fails with `error`."""
    assert error in errno.errorcode
    return f"{step.at}={error},{step.call}"


def trace(command: Sequence[str]) -> list[Step]:
    """Every step of a command that is left alone, with the files that it is about. The command must succeed."""
    done = subprocess.run([*_TRACER, "+", *command], stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
    *lines, last = done.stdout.splitlines()
    assert last == "ended"
    words = [line.split(" ", 2) for line in lines]
    return [Step(at, call, tuple(json.loads(files))) for at, call, files in words]


def steps_of(
    command: list[str], *, afterwards: Callable[[], object] = lambda: None, between: str | None = None
) -> list[str]:
    """Every step of a command that is left alone, or some of them.

    `afterwards` is called when the command itself has ended, and ends what it left running. With `between`, only those
    steps count, of any process, that come between the first two at which a directory is made whose path begins so.
    """
    tracer = subprocess.Popen([*_TRACER, "-" if between is None else "+", *command], stdout=subprocess.PIPE, text=True)
    found, marks = [], 0
    with tracer:
        try:
            assert tracer.stdout is not None
            for line in tracer.stdout:
                if line == "ended\n":
                    afterwards()
                    continue
                at, call, *files = line.split(" ", 2)
                if between is not None and call == "mkdir" and json.loads(files[0])[0].startswith(between):
                    marks += 1
                elif between is None or marks == 1:
                    found.append(at)
        except BaseException:
            tracer.kill()
            raise
    assert len(found) > 2, f"{command} did nothing"
    return found if not MOST else found[:: -(-len(found) // MOST)]
