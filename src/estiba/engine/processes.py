"""The processes of a running container, as the host sees them."""

from __future__ import annotations

import os

from estiba.engine import lifecycle
from estiba.errors import InvalidInput, Unavailable
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.engine.records import ContainerRecord

_PROGRAM = "/bin/ps"


def list_processes(record: ContainerRecord, arguments: Sequence[str]) -> list[str]:
    """The lines of the host's `ps ARGUMENTS` (``-ef`` without any): its heading, and the container's processes.

    Raises:
        WrongState: the container does not run. InvalidInput: ps refuses its arguments, or shows no column PID.
    """
    import subprocess

    lifecycle.must_act("top", record.state, name=record.name)
    inside = _in_namespace_of(record.pid)
    words = [_PROGRAM, *(arguments or ("-ef",))]
    try:
        # These and no others, where the arguments do not select any themselves (ps takes -q with no other selection).
        those = ",".join(sorted(inside, key=int))
        done = subprocess.run([*words, "-q", those], capture_output=True, text=True, check=False)
        if done.returncode:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unavailable(f"{_PROGRAM} is not installed", remedy="apt-get install procps") from error
    if done.returncode:
        raise InvalidInput(f"ps {' '.join(arguments)}: {done.stderr.strip()}")
    heading, *lines = done.stdout.splitlines()
    columns = heading.split()
    if "PID" not in columns:
        raise InvalidInput("ps was not asked for the column PID", remedy="Add it: -o pid,comm")
    place = columns.index("PID")
    return [heading, *(line for line in lines if line.split()[place] in inside)]


def _in_namespace_of(pid: int) -> set[str]:
    """The numbers of all processes in the pid namespace of `pid`, as text."""
    wanted = os.readlink(f"/proc/{pid}/ns/pid")
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/ns/pid") == wanted:
                found.add(name)
        except OSError:
            continue  # it has ended meanwhile
    return found
