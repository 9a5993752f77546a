"""The further processes of a container: who asks for one, who brings it in, and whom its end is told."""

from __future__ import annotations

import _socket
import os
import struct
import time

from estiba.engine import exec_channel as channel
from estiba.engine.frames import accept
from estiba.engine.monitor.loop import LITTLE, READ, Loop
from estiba.engine.monitor.stamp import is_as_loaded
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.monitor.joining_by_runtime import ByRuntime

_TELLS_AT_ONCE = 64
TOLD = struct.Struct("ii")
"""What a joiner writes to its monitor: its own process id, and that of the process that it has started."""


class Joined(NamedTuple):
    """The container: its runtime's records are in `root`; `environment` are the entries that it was made with."""

    root: str
    container_id: str
    environment: tuple[str, ...]


class Execs:
    """Takes requests on `listener`, a listening socket. Nothing here waits: what may, a fork does (`joiner`).

    What a joiner needs is loaded with the first request; `last` is when the last one came (monotonic seconds, 0 for
    never). With `is_closed` everything is left to the runtime. A command that goes away leaves its process to itself,
    as Docker's does.
    """

    def __init__(self, loop: Loop, joined: Joined, listener: _socket.socket, *, is_closed: bool = False) -> None:
        self.last = 0.0
        self.is_closed = is_closed
        self._loop = loop
        self._joined = joined
        self._is_loaded = False
        self._asking: set[_socket.socket] = set()
        self._joiners: dict[int, _socket.socket] = {}
        self._running: dict[int, _socket.socket] = {}
        self._told = self._telling = -1
        self.open_pipe()
        self._listener = listener
        self._listen()

    @classmethod
    def restored(cls, loop: Loop, state: dict[str, Any]) -> Execs:
        """As another program has left them (`state`)."""
        root, container_id, environment = state["joined"]
        execs = cls(loop, Joined(root, container_id, tuple(environment)), _socket.socket(fileno=state["listener"]))
        for pid, descriptor in state["running"]:
            execs._running[pid] = command = _socket.socket(fileno=descriptor)
            execs._watch(command)
        return execs

    def state(self) -> dict[str, Any] | None:
        """What another program needs to go on; None while a process is being asked for or brought in."""
        if self._asking or self._joiners or self._listener.fileno() not in self._loop.descriptors:
            return None
        running = [[pid, command.fileno()] for pid, command in self._running.items()]
        return {"listener": self._listener.fileno(), "running": running, "joined": self._joined}

    @property
    def descriptors(self) -> set[int]:
        """Those that are watched."""
        return {self._listener.fileno(), *(command.fileno() for command in self._running.values())}

    def open_pipe(self) -> None:
        """Hear of joiners from now on."""
        self._told, self._telling = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def close_pipe(self) -> None:
        """Hear of them no more: there is none, and the next program has a pipe of its own."""
        os.close(self._told)
        os.close(self._telling)

    def ended(self, pid: int, status: int) -> None:
        """Our child `pid` has ended: one of ours, or not."""
        self._hear()  # a process is our child only after its joiner has told of it
        command = self._joiners.pop(pid, None)
        if command is not None:
            if status:
                told = channel.failure("what should have started it was killed", remedy="", exit_code=125)
                channel.send(command, channel.FAILED, told)
            self._let_go(command)
            return
        command = self._running.pop(pid, None)
        if command is not None:
            code = os.waitstatus_to_exitcode(status)
            channel.send(command, channel.ENDED, str(code if code >= 0 else 128 - code).encode())
            self._let_go(command)

    def close(self) -> None:
        """Take nothing in any more; whoever still waits sees the end of the connection."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for command in (*self._asking, *self._joiners.values(), *self._running.values()):
            self._let_go(command)

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), READ, lambda _events: self._accept())

    def _accept(self) -> None:
        served = len(self._asking) + len(self._joiners) + len(self._running)
        if served >= self._loop.room:
            self._loop.forget(self._listener.fileno())  # until one of those that we have is gone
            return
        try:
            command = accept(self._listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor is left; we would be told again and again
            if served:
                self._loop.forget(self._listener.fileno())
            else:
                time.sleep(LITTLE)
            return
        command.setblocking(False)
        if channel.peer_user(command) != os.geteuid():
            command.close()
            return
        self._take(command, is_ours=False)

    def take(self, command: _socket.socket, by_runtime: ByRuntime | None) -> None:
        """Hear the monitor's own request. What it needs loads nothing further: once all is loaded, the package on the
        disk may be another. With `by_runtime` it is met while all others are left to the runtime, too."""
        self._take(command, is_ours=True, by_runtime=by_runtime)

    def _take(self, command: _socket.socket, *, is_ours: bool, by_runtime: ByRuntime | None = None) -> None:
        self._asking.add(command)
        self._loop.watch(command.fileno(), READ, lambda _events: self._asked(command, is_ours, by_runtime))

    def _asked(self, command: _socket.socket, is_ours: bool, by_runtime: ByRuntime | None) -> None:
        try:
            message = channel.receive(command)
        except BlockingIOError:
            return
        except OSError:  # more descriptors than we may have
            message = channel.Message(b"", b"", ())
        self._asking.discard(command)
        try:
            if message.kind != channel.REQUEST or len(message.descriptors) != channel.DESCRIPTORS:
                self._let_go(command)
            elif (self.is_closed and not by_runtime) or not (is_as_loaded() or (is_ours and self._is_loaded)):
                channel.send(command, channel.NOT_HERE)
                self._let_go(command)
            else:
                self._fork(command, message.descriptors, by_runtime)
        finally:
            for descriptor in message.descriptors:
                os.close(descriptor)

    def _fork(self, command: _socket.socket, descriptors: tuple[int, ...], by_runtime: ByRuntime | None) -> None:
        from estiba.engine.monitor import joiner

        joiner.load()
        self._is_loaded = True
        self.last = time.monotonic()
        try:
            pid = os.fork()
        except OSError as error:
            told = channel.failure(f"no process can be made: {error.strerror}", remedy="", exit_code=125)
            channel.send(command, channel.FAILED, told)
            self._let_go(command)
            return
        if pid == 0:
            joiner.run(self._joined, command, descriptors, self._telling, by_runtime)
        self._joiners[pid] = command
        self._watch(command)

    def _watch(self, command: _socket.socket) -> None:
        self._loop.watch(command.fileno(), READ, lambda _events: self._left(command))

    def _left(self, command: _socket.socket) -> None:
        """Nothing more is said to us but the end."""
        for waiting in (self._joiners, self._running):
            for pid in [pid for pid, other in waiting.items() if other is command]:
                del waiting[pid]
        self._let_go(command)

    def _hear(self) -> None:
        size = TOLD.size
        try:
            while told := os.read(self._told, size * _TELLS_AT_ONCE):
                for joiner_pid, pid in TOLD.iter_unpack(told):
                    command = self._joiners.pop(joiner_pid, None)
                    if command is not None:
                        self._running[pid] = command
        except BlockingIOError:
            return

    def _let_go(self, command: _socket.socket) -> None:
        if command.fileno() >= 0:
            self._loop.forget(command.fileno())
            command.close()
        if self._listener.fileno() >= 0:
            self._listen()
