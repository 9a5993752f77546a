"""The most memory that a command takes, with every process that it starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from bench.workspace import CommandFailed

_PAUSE = 0.01


def peak_memory(command: Sequence[str]) -> int:
    """Runs `command` to its end; gives the largest sum of its processes' proportional set sizes, in bytes.

    Raises:
        CommandFailed: an exit code other than 0.
    """
    largest = 0
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            largest = max(largest, sum(_proportional(pid) for pid in _family(process.pid)))
            time.sleep(_PAUSE)
    if process.returncode != 0:
        raise CommandFailed(f"{command[0]}: {process.returncode}")
    return largest


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
        except OSError:
            continue  # it has ended
    return found


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0
