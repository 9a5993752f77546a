"""The further processes of a container: who asks for one, who brings it in, and whom its end is told."""

from __future__ import annotations

import _socket
import errno
import os

from estiba.engine import exec_channel as channel
from estiba.engine.frames import accept
from estiba.engine.monitor import joiner
from estiba.engine.monitor.loop import READ, Loop
from estiba.linux.processes import exit_status
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.monitor.joiner import Joined

_TELLS_AT_ONCE = 64


class Execs:
    """Takes requests on the socket `name` in `directory`. Nothing here waits: what may, a fork does (`joiner`).

    A command that goes away leaves its process to itself, as Docker's does.
    """

    def __init__(self, loop: Loop, joined: Joined, *, directory: str, name: str) -> None:
        self._loop = loop
        self._joined = joined
        self._joiners: dict[int, _socket.socket] = {}
        self._running: dict[int, _socket.socket] = {}
        self._told, self._telling = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._listener = channel.listen(directory, name)
        self._listen()

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
            channel.send(command, channel.ENDED, str(exit_status(status)).encode())
            self._let_go(command)

    def close(self) -> None:
        """Take nothing in any more; whoever still waits sees the end of the connection."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for command in (*self._joiners.values(), *self._running.values()):
            self._let_go(command)

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), READ, lambda _events: self._accept())

    def _accept(self) -> None:
        try:
            command = accept(self._listener)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._loop.forget(self._listener.fileno())  # until one of those that we have is gone
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        command.setblocking(False)
        if channel.peer_user(command) != os.geteuid():
            command.close()
            return
        self._loop.watch(command.fileno(), READ, lambda _events: self._asked(command))

    def _asked(self, command: _socket.socket) -> None:
        try:
            message = channel.receive(command)
        except BlockingIOError:
            return
        except OSError:  # more descriptors than we may have
            message = channel.Message(b"", b"", ())
        try:
            if message.kind == channel.REQUEST and len(message.descriptors) == channel.DESCRIPTORS:
                self._fork(command, message.descriptors)
            else:
                self._let_go(command)
        finally:
            for descriptor in message.descriptors:
                os.close(descriptor)

    def _fork(self, command: _socket.socket, descriptors: tuple[int, ...]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            told = channel.failure(f"no process can be made: {error.strerror}", remedy="", exit_code=125)
            channel.send(command, channel.FAILED, told)
            self._let_go(command)
            return
        if pid == 0:
            joiner.run(self._joined, command, descriptors, self._telling)
        self._joiners[pid] = command
        self._loop.watch(command.fileno(), READ, lambda _events: self._left(command))

    def _left(self, command: _socket.socket) -> None:
        """Nothing more is said to us but the end."""
        for waiting in (self._joiners, self._running):
            for pid in [pid for pid, other in waiting.items() if other is command]:
                del waiting[pid]
        self._let_go(command)

    def _hear(self) -> None:
        size = joiner.TOLD.size
        try:
            while told := os.read(self._told, size * _TELLS_AT_ONCE):
                for joiner_pid, pid in joiner.TOLD.iter_unpack(told):
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
