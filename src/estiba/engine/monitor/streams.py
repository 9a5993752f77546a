"""The standard streams of one run of a container: pipes, or the master end of a terminal."""

from __future__ import annotations

import _socket
import fcntl
import os
import struct
import termios

from estiba.engine.frames import CHUNK, accept
from estiba.engine.monitor.loop import READ, WRITE, Loop
from estiba.errors import Unavailable
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MOST_READS = 1 << 12


class Streams:
    """Our ends, and until `started` the container's ends `stdin`, `stdout`, `stderr`.

    `on_output(stream, data)` gets what the container writes.
    """

    def __init__(self, loop: Loop, on_output: Callable[[str, bytes], None], *, tty: bool, interactive: bool) -> None:
        self.tty = tty
        self._loop = loop
        self._on_output = on_output
        self._outputs: dict[int, str] = {}
        self._input = -1
        self._input_waiting = bytearray()
        self._input_ends = False
        self._is_held = False
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.stdin = self.stdout = self.stderr = null
        self._theirs = [null]
        if tty:
            return
        if interactive:
            self.stdin, self._input = self._pipe(ours_writes=True)
        self.stdout, out = self._pipe()
        self.stderr, error = self._pipe()
        self._outputs = {out: "stdout", error: "stderr"}

    @classmethod
    def restored(cls, loop: Loop, on_output: Callable[[str, bytes], None], state: dict[str, Any]) -> Streams:
        """As another program has left them (`state`)."""
        streams = cls(loop, on_output, tty=True, interactive=False)
        streams.tty = state["tty"]
        streams._outputs = dict(state["outputs"])
        streams._input, streams._input_ends = state["input"], state["input_ends"]
        streams.started()
        return streams

    def state(self) -> dict[str, Any] | None:
        """What another program needs to go on; None while something is on its way."""
        if self._theirs or self._input_waiting or self._is_held:
            return None
        outputs = [[descriptor, stream] for descriptor, stream in self._outputs.items()]
        return {"tty": self.tty, "outputs": outputs, "input": self._input, "input_ends": self._input_ends}

    @property
    def descriptors(self) -> set[int]:
        """Our ends."""
        return {*self._outputs, self._input} - {-1}

    @property
    def is_input_full(self) -> bool:
        return len(self._input_waiting) > 1 << 20

    def started(self) -> None:
        """The container has its ends: close ours of them and begin to read."""
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs = []
        self.hold(False)

    def take_terminal(self, listener: _socket.socket) -> None:
        """Receive the master end of the terminal that the runtime made (runc's console socket).

        Raises:
            Unavailable: the runtime sent none.
        """
        self.take_master(received_terminal(listener))

    def take_master(self, master: int) -> None:
        """Own the master end of the terminal."""
        os.set_blocking(master, False)
        self._input = master
        self._outputs = {master: "stdout"}

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size."""
        if self.tty and self._input >= 0:
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, data: bytes) -> None:
        """Give the container input; what it does not take yet waits."""
        if self._input >= 0 and not self._input_ends:
            self._input_waiting += data
            self._flush()

    def end_input(self) -> None:
        """No more input: the pipe is closed when what waits has gone. A terminal is left as it is."""
        if not self.tty and self._input >= 0:
            self._input_ends = True
            self._flush()

    def hold(self, is_held: bool) -> None:
        """Stop reading output while somebody is behind, or go on."""
        self._is_held = is_held
        self._update()

    def drain(self) -> None:
        """Take what is left, without waiting: the container has ended."""
        for descriptor in list(self._outputs):
            for _ in range(_MOST_READS):
                if not self._read(descriptor):
                    break

    def close(self) -> None:
        for descriptor in {*self._outputs, *self._theirs, self._input} - {-1}:
            self._loop.forget(descriptor)
            os.close(descriptor)
        self._outputs, self._theirs, self._input = {}, [], -1

    def _pipe(self, *, ours_writes: bool = False) -> tuple[int, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        ours, theirs = (writing, reading) if ours_writes else (reading, writing)
        os.set_blocking(ours, False)
        self._theirs.append(theirs)
        return theirs, ours

    def _update(self) -> None:
        for descriptor in self.descriptors:
            mask = READ if descriptor in self._outputs and not self._is_held else 0
            mask |= WRITE if descriptor == self._input and self._input_waiting else 0
            self._loop.watch(descriptor, mask, self._handler(descriptor))

    def _handler(self, descriptor: int) -> Callable[[int], None]:
        def ready(events: int) -> None:
            if descriptor in self._outputs and events & ~WRITE and not self._is_held:
                self._read(descriptor)
            if descriptor == self._input and events & WRITE:
                self._flush()

        return ready

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last process that had the terminal is gone
            data = b""
        if not data:
            self._loop.forget(descriptor)
            del self._outputs[descriptor]
            if descriptor != self._input:
                os.close(descriptor)
            return False
        self._on_output(self._outputs[descriptor], data)
        return True

    def _flush(self) -> None:
        try:
            while self._input_waiting:
                del self._input_waiting[: os.write(self._input, self._input_waiting[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EIO: nobody reads any more
            self._input_waiting.clear()
            self._input_ends = True
        if self._input_ends and not self._input_waiting and self._input not in self._outputs:
            self._loop.forget(self._input)
            os.close(self._input)
            self._input = -1
        self._update()


def received_terminal(listener: _socket.socket) -> int:
    """The master end of the terminal that a runtime sends to its console socket.

    Raises:
        Unavailable: it sent none.
    """
    listener.setblocking(True)
    with_rights = accept(listener)
    try:
        _, rights, _, _ = with_rights.recvmsg(4096, _socket.CMSG_SPACE(16), _socket.MSG_CMSG_CLOEXEC)
    finally:
        with_rights.close()
    if not rights:
        raise Unavailable("the runtime sent no terminal")
    descriptor: int = struct.unpack("i", rights[0][2][:4])[0]
    return descriptor
