"""Starting a process in a container from the daemon: the container's monitor does it where it can, else a keeper."""

from __future__ import annotations

import _socket
import asyncio
import os
import socket

from estiba.docker_api.monitor import Monitor
from estiba.engine import exec_channel, frames
from estiba.engine.engine import Engine
from estiba.engine.exec_by_monitor import ByMonitor, NotHere, find_monitor
from estiba.engine.exec_options import ExecOptions
from estiba.engine.keeper.begin import begin
from estiba.engine.records import ContainerRecord
from estiba.values import NamedTuple, Protocol

_KILLED = 137  # nobody knows how it ended, for whoever would have said so was killed


class Ending(Protocol):
    """Who tells how the process ends. On the loop."""

    async def code(self) -> int:
        """Its exit code, once it has ended."""

    def close(self) -> None: ...


class Entered(NamedTuple):
    """A running process; `terminal` is a master end, -1 without one. `connection` brings its end."""

    pid: int
    terminal: int
    connection: frames.Connection | socket.socket

    def close(self) -> None:
        """Leave the process to itself."""
        self.connection.close()
        if self.terminal >= 0:
            os.close(self.terminal)

    def ending(self) -> Ending:
        """To be called on the loop."""
        if isinstance(self.connection, frames.Connection):
            return _KeepersWord(self.connection)
        return _MonitorsWord(self.connection)


def enter(
    engine: Engine, record: ContainerRecord, options: ExecOptions, *, streams: tuple[int, int, int] | None
) -> Entered:
    """Start the process with `streams` as its standard streams; None is nothing, or a terminal where that is asked for.

    It outlives the caller. Blocks; may be called in any thread.

    Raises:
        WrongState: the container does not run. RuntimeFailed, ExecFailed: the process did not start.
    """
    connection = None if record.runtime else find_monitor(engine, record)
    if connection is not None:
        try:
            return _by_monitor(engine, record, options, streams, connection)
        except NotHere:
            pass  # the monitor leaves it to the runtime
    entered = begin(engine, record, options, streams=streams)
    return Entered(entered.pid, entered.terminal, entered.connection)


def _by_monitor(
    engine: Engine,
    record: ContainerRecord,
    options: ExecOptions,
    streams: tuple[int, int, int] | None,
    connection: _socket.socket,
) -> Entered:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    place = _Place(streams or (null, null, null))
    asked = ByMonitor(engine, record, connection)
    try:
        asked.start(options, place)
        kept = socket.socket(fileno=os.dup(connection.fileno()))
    finally:
        asked.close()
        os.close(null)
    return Entered(asked.pid, place.terminal, kept)


class _Place:
    def __init__(self, streams: tuple[int, int, int]) -> None:
        self.stdin, self.stdout, self.stderr = streams
        self.terminal = -1

    def take_master(self, descriptor: int) -> None:
        self.terminal = descriptor


class _MonitorsWord:
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    async def code(self) -> int:
        loop = asyncio.get_running_loop()
        while True:
            try:
                told = await loop.sock_recv(self._connection, exec_channel.LONGEST)
            except OSError:
                return _KILLED
            if not told:
                return _KILLED
            if told[:1] == exec_channel.ENDED:
                return int(told[1:])

    def close(self) -> None:
        self._connection.close()


class _KeepersWord:
    def __init__(self, connection: frames.Connection) -> None:
        self._keeper = Monitor(connection)

    async def code(self) -> int:
        while received := await self._keeper.receive():
            if ended := [frame for frame in received if frame.kind == frames.ENDED]:
                return int(ended[0].json()["exit_code"])
        return _KILLED

    def close(self) -> None:
        self._keeper.close()
