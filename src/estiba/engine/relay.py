"""Between a user's standard streams and a container: what is typed goes in, what is written comes out, signals pass."""

from __future__ import annotations

import os
import select

from estiba.engine import frames
from estiba.engine.terminal import DetachKeys, RawTerminal, size_of
from estiba.linux import signals
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# Signals that a command in front of a container passes on to it (Docker's --sig-proxy).
FORWARDED = (
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGTERM,
    signals.SIGUSR1,
    signals.SIGUSR2,
    signals.SIGCONT,
    signals.SIGALRM,
    signals.SIGWINCH,
)


class Ends(NamedTuple):
    """The user's side. `input` -1 gives nothing; `raw` makes a terminal raw; `detach_keys` leave the container."""

    input: int = -1
    output: int = 1
    error: int = 2
    raw: bool = False
    detach_keys: bytes = b""
    passes_signals: bool = True


class Outcome(NamedTuple):
    """`exit_code` None: the user left, and the container goes on."""

    exit_code: int | None


class Signals:
    """Signals as bytes on a descriptor while the context lasts; before and after they do what they did."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self._numbers = numbers
        self._before: dict[int, object] = {}
        self.descriptor, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = -1

    def __enter__(self) -> Signals:
        self._wakeup = signals.wake_by(self._writing)
        for number in self._numbers:
            self._before[number] = signals.handle(number, lambda _number, _frame: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signals.give_back(number, handler)
        signals.wake_by(self._wakeup)
        os.close(self.descriptor)
        os.close(self._writing)

    def read(self) -> bytes:
        """The numbers that came since, each a byte."""
        try:
            return os.read(self.descriptor, 512)
        except BlockingIOError:
            return b""


def relay(connection: frames.Connection, ends: Ends) -> Outcome:
    """Pass everything between `ends` and the monitor behind `connection`, until the container ends or the user leaves.

    Raises:
        MonitorGone: the monitor was killed.
    """
    numbers = FORWARDED if ends.passes_signals else (signals.SIGWINCH,)
    with Signals(numbers) as arrived, RawTerminal(ends.input if ends.raw else -1):
        return _pump(connection, ends, arrived)


def _pump(connection: frames.Connection, ends: Ends, arrived: Signals) -> Outcome:
    keys = DetachKeys(ends.detach_keys)
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    poll.register(arrived.descriptor, select.POLLIN)
    if ends.input >= 0:
        poll.register(ends.input, select.POLLIN)
    if ends.raw and (size := size_of(ends.input)):
        connection.send(frames.RESIZE, size)
    # What came in one piece with the answer to the start lies in the connection already.
    is_buffered = connection.is_ready(timeout=0)
    while True:
        ready = [(connection.fileno(), select.POLLIN)] if is_buffered else poll.poll()
        is_buffered = False
        for descriptor, _ in ready:
            if descriptor == connection.fileno():
                if (outcome := _receive(connection, ends)) is not None:
                    return outcome
            elif descriptor == arrived.descriptor:
                _pass_signals(arrived.read(), connection, ends)
            elif _typed(connection, ends, keys, stop=poll.unregister):
                return Outcome(None)


def _receive(connection: frames.Connection, ends: Ends) -> Outcome | None:
    """Pass on what the container wrote; the outcome when it has ended."""
    outputs = {frames.OUTPUT: ends.output, frames.ERROR_OUTPUT: ends.error}
    for frame in connection.receive_available():
        if frame.kind in outputs:
            write_all(outputs[frame.kind], frame.content)
        elif frame.kind == frames.ENDED:
            return Outcome(frame.json()["exit_code"])
    return None


def _typed(connection: frames.Connection, ends: Ends, keys: DetachKeys, *, stop: Callable[[int], None]) -> bool:
    """Pass on what there is; whether the user wants to leave."""
    try:
        data = os.read(ends.input, frames.CHUNK)
    except OSError:  # EIO: the terminal is gone
        data = b""
    if not data:
        stop(ends.input)
        connection.send(frames.INPUT_END)
        return False
    passed, leaves = keys.feed(data)
    if passed:
        connection.send(frames.INPUT, passed)
    return leaves


def _pass_signals(numbers: bytes, connection: frames.Connection, ends: Ends) -> None:
    for number in numbers:
        if number == signals.SIGWINCH:
            if ends.raw and (size := size_of(ends.input)):
                connection.send(frames.RESIZE, size)
        elif ends.passes_signals:
            connection.send(frames.SIGNAL, number)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however slowly it is taken."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # Somebody else made the user's terminal or pipe non-blocking.
            waiting = select.poll()
            waiting.register(descriptor, select.POLLOUT)
            waiting.poll()
