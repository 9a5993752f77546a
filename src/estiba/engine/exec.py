"""One more process in a running container, with its streams and its real exit code.

The container's monitor starts it and waits for it, so a command starts no interpreter but its own. A monitor that does
not (the runtime is another's, it is older, or this machine lets nobody protect its interpreter) leaves it to the
runtime's `exec` (`exec_by_runtime`). A command that goes away leaves the process to itself.
"""

from __future__ import annotations

import os

from estiba.engine import lifecycle
from estiba.engine.exec_by_monitor import ByMonitor, NotHere, find_monitor
from estiba.engine.exec_options import ExecOptions as ExecOptions
from estiba.engine.frames import CHUNK, MonitorGone
from estiba.engine.monitor.loop import READ, Loop
from estiba.engine.monitor.streams import Streams
from estiba.engine.relay import Outcome, Signals, write_all
from estiba.engine.terminal import DetachKeys, RawTerminal, size_of
from estiba.linux.signals import SIGWINCH
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.engine.relay import Ends

    class Starter(Protocol):
        """Who has started the process and knows of its end."""

        @property
        def descriptor(self) -> int:
            """Readable when `exit_code` may know more."""

        def exit_code(self) -> int | None:
            """How the process has ended; None while it runs."""

        def close(self) -> None:
            """Let go of it."""


def start_detached(engine: Engine, record: ContainerRecord, options: ExecOptions) -> None:
    """Start the process and leave it; its output goes nowhere.

    Raises:
        WrongState: the container does not run. RuntimeFailed: the process could not be started.
    """
    streams = Streams(Loop(), lambda _stream, _data: None, tty=True, interactive=False)  # all of them lead nowhere
    try:
        _start(engine, record, options._replace(tty=False), streams).close()
    finally:
        streams.close()


def run(engine: Engine, record: ContainerRecord, options: ExecOptions, ends: Ends) -> Outcome:
    """Run the process to its end between the user's `ends`; the exit code is its own, or 128 + signal.

    Raises:
        WrongState: the container does not run. RuntimeFailed: the process could not be started.
    """
    with Signals((SIGWINCH,) if options.tty else ()) as arrived:
        return _Session(options, ends, arrived).run(lambda streams: _start(engine, record, options, streams))


def _start(engine: Engine, record: ContainerRecord, options: ExecOptions, streams: Streams) -> Starter:
    """Start the process; gives who knows of its end."""
    lifecycle.must_act("exec", record.state, name=record.name)
    connection = None if record.runtime else find_monitor(engine, record)
    if connection is not None:
        by_monitor = ByMonitor(engine, record, connection)
        try:
            by_monitor.start(options, streams)
        except NotHere:
            by_monitor.close()
        except BaseException:
            by_monitor.close()
            raise
        else:
            return by_monitor
    from estiba.engine.exec_by_runtime import ByRuntime

    by_runtime = ByRuntime(engine, record)
    by_runtime.start(options, streams)
    return by_runtime


class _Session:
    """One exec in the foreground."""

    def __init__(self, options: ExecOptions, ends: Ends, arrived: Signals) -> None:
        self._options = options
        self._ends = ends
        self._arrived = arrived
        self._keys = DetachKeys(ends.detach_keys)
        self._loop = Loop()
        self._streams = Streams(self._loop, self._output, tty=options.tty, interactive=options.interactive)
        self._outcome: Outcome | None = None

    def run(self, start: Callable[[Streams], Starter]) -> Outcome:
        try:
            starter = start(self._streams)
        except BaseException:
            self._streams.close()
            raise
        try:
            self._streams.started()
            with RawTerminal(self._ends.input if self._ends.raw else -1):
                self._loop.watch(self._arrived.descriptor, READ, lambda _events: self._signalled())
                self._watch_end(starter)
                self._listen(True)
                self._resize()
                while self._outcome is None:
                    self._loop.turn()
            return self._outcome
        finally:
            self._streams.close()
            starter.close()

    def _output(self, stream: str, data: bytes) -> None:
        write_all(self._ends.output if stream == "stdout" else self._ends.error, data)

    def _listen(self, wanted: bool) -> None:
        if self._ends.input >= 0:
            self._loop.watch(self._ends.input, READ if wanted else 0, lambda _events: self._typed())

    def _typed(self) -> None:
        try:
            data = os.read(self._ends.input, CHUNK)
        except OSError:  # EIO: the terminal is gone
            data = b""
        if not data:
            self._listen(False)
            self._streams.end_input()
            return
        passed, leaves = self._keys.feed(data)
        self._streams.write(passed)
        if leaves:
            self._outcome = Outcome(None)
        while self._streams.is_input_full and self._outcome is None:
            self._listen(False)
            self._loop.turn()
        self._listen(True)

    def _signalled(self) -> None:
        if SIGWINCH in self._arrived.read():
            self._resize()

    def _resize(self) -> None:
        if self._options.tty and (size := size_of(self._ends.input)):
            self._streams.resize(*size)

    def _watch_end(self, starter: Starter) -> None:
        self._loop.watch(starter.descriptor, READ, lambda _events: self._look(starter))

    def _look(self, starter: Starter) -> None:
        self._loop.forget(starter.descriptor)
        try:
            code = starter.exit_code()
        except MonitorGone:
            self._streams.drain()
            raise
        if code is None:
            self._watch_end(starter)
            return
        self._streams.drain()
        self._outcome = Outcome(code)
