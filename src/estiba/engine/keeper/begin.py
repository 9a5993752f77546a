"""Starting a process in a container from a server: it gets the caller's descriptors, its end comes as a frame."""

from __future__ import annotations

import os
import sys

from estiba.engine import frames
from estiba.engine.exec_by_runtime import exec_process
from estiba.engine.paths import ContainerPaths
from estiba.errors import CommandFailed
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.exec_options import ExecOptions
    from estiba.engine.records import ContainerRecord

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class ExecFailed(CommandFailed):
    """The process did not start; `exit_code` is 127 or 126 where its program is missing or cannot run."""


class Entered(NamedTuple):
    """A running process. `connection` brings ENDED with its exit code; `terminal` is a master end, -1 without one."""

    connection: frames.Connection
    pid: int
    terminal: int


def begin(
    engine: Engine, record: ContainerRecord, options: ExecOptions, *, streams: tuple[int, int, int] | None
) -> Entered:
    """Start the process with `streams` as its standard streams; None is nothing, or a terminal where that is asked for.

    It outlives the caller. May be called in any thread.

    Raises:
        WrongState: the container does not run. ExecFailed.
    """
    process = exec_process(engine, record, options)
    runtime = engine.runtime_of(record)
    paths = ContainerPaths(engine.store.paths.root, record.run, record.id)
    connection, theirs = frames.pair()
    try:
        _spawn(engine.run, theirs.fileno(), streams)
    finally:
        theirs.close()
    request = {
        "command": runtime.command,
        "root": runtime.root,
        "is_ours": not record.runtime,
        "id": record.id,
        "process": process,
        "place": f"{paths.bundle}/exec-{os.urandom(8).hex()}",
    }
    try:
        connection.send(frames.START, request)
        answer, terminal = connection.receive_with_descriptor()
    except BaseException:
        connection.close()
        raise
    facts = answer.json()
    if answer.kind == frames.FAILED:
        connection.close()
        raise ExecFailed(facts["message"], exit_code=facts["exit_code"])
    return Entered(connection, facts["pid"], terminal)


def _spawn(run: str, socket: int, streams: tuple[int, int, int] | None) -> None:
    """The launcher forks and ends at once; the keeper itself is nobody's child."""
    import fcntl

    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    wanted = (*(streams or (null, null, null)), socket)
    # Out of the way first: what is wanted as number 1 may be somebody else's number 0.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 8) for descriptor in wanted]
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(moved)]
    try:
        command = [sys.executable, "-I", "-S", launcher, run]
        pid = os.posix_spawn(sys.executable, command, _ENVIRONMENT, file_actions=actions)
    finally:
        for descriptor in (*moved, null):
            os.close(descriptor)
    os.waitpid(pid, 0)
