"""The way of `exec` through the container's monitor, from the command's side (`monitor.execs` has the other)."""

from __future__ import annotations

import os

from estiba.engine import exec_channel as channel
from estiba.engine import lifecycle
from estiba.engine.exec_options import ExecOptions
from estiba.engine.frames import MonitorGone
from estiba.engine.paths import EXEC_SOCKET, ContainerPaths
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import _socket
    from typing import Any, NoReturn, Protocol

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord

    class Place(Protocol):
        """Where the process reads and writes: the far ends of its streams, and who gets its terminal."""

        stdin: int
        stdout: int
        stderr: int

        def take_master(self, descriptor: int) -> None: ...


def find_monitor(engine: Engine, record: ContainerRecord) -> _socket.socket | None:
    """A connection to the monitor; None where it takes no processes in, or none from this user."""
    place = ContainerPaths(engine.store.paths.root, record.run or engine.run, record.id)
    return channel.connect(place.bundle, EXEC_SOCKET)


class NotHere(Exception):
    """The monitor leaves it to the runtime; nothing has happened."""


class ByMonitor:
    """A process that the monitor is asked for."""

    def __init__(self, engine: Engine, record: ContainerRecord, connection: _socket.socket) -> None:
        self._engine = engine
        self._record = record
        self._connection = connection
        self.pid = 0
        self._process = -1
        self._is_orphan = False

    @property
    def descriptor(self) -> int:
        """The connection, on which the end is told; the process itself once the monitor is gone."""
        return self._process if self._is_orphan else self._connection.fileno()

    def start(self, options: ExecOptions, streams: Place) -> None:
        """Ask for the process, and wait until its program has begun.

        Raises:
            NotHere: it is the runtime's to do. RuntimeFailed: it could not begin. MonitorGone.
            WrongState: the container has just ended.
        """
        request = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            os.write(request, options.encoded())
            wanted = (request, streams.stdin, streams.stdout, streams.stderr)
            channel.send(self._connection, channel.REQUEST, descriptors=wanted)
        finally:
            os.close(request)
        while self._process < 0:
            kind, content, descriptors = channel.receive(self._connection)
            if kind == channel.TERMINAL:
                streams.take_master(descriptors[0])
            elif kind == channel.BEGUN:
                (self._process,) = descriptors
                self.pid = int(content)
            elif kind == channel.NOT_HERE:
                raise NotHere
            elif kind == channel.FAILED:
                self._raise_failed(channel.facts(content))
            else:
                self._must_run()
                raise MonitorGone(f"the monitor of container {self._record.name} ended before it was done")

    def exit_code(self) -> int | None:
        """How the process has ended; None while it runs.

        Raises:
            MonitorGone: it has ended without the monitor, so nobody knows.
        """
        if self._is_orphan:
            raise MonitorGone(f"the monitor of container {self._record.name} is gone, so the exit code is not known")
        kind, content, _ = channel.receive(self._connection)
        if kind == channel.ENDED:
            return int(content)
        self._is_orphan = True  # what it writes is ours still, until it ends
        return None

    def close(self) -> None:
        """Leave the process to itself, if it runs still."""
        self._connection.close()
        if self._process >= 0:
            os.close(self._process)

    def _raise_failed(self, told: dict[str, Any]) -> NoReturn:
        from estiba.runtime.client import RuntimeFailed

        if told["exit_code"] == 125:
            self._must_run()
        raise RuntimeFailed(told["message"], exit_code=told["exit_code"], remedy=told["remedy"])

    def _must_run(self) -> None:
        """Raise WrongState where the reason of a failure is that the container has just ended."""
        record = self._engine.find(self._record.id)
        lifecycle.must_act("exec", record.state, name=record.name)
