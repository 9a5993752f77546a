"""Looks from time to time whether the container is well: a process in it, brought in as those of `exec` are."""

from __future__ import annotations

import _socket
import os
import sys
import time

from estiba.engine import exec_channel as channel
from estiba.engine import health_file
from estiba.engine.exec_options import ExecOptions
from estiba.engine.health import MOST_OUTPUT, UNHEALTHY, Result, State, Timing, command, overdue, text_of
from estiba.engine.monitor.loop import READ
from estiba.errors import EstibaError
from estiba.linux.processes import send_signal
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.engine.monitor.execs import Execs
    from estiba.engine.monitor.joining_by_runtime import ByRuntime
    from estiba.engine.monitor.loop import Loop
    from estiba.engine.options import Health

_KILL = 9
_CHUNK = 1 << 16
_LAST_READS = 16  # a pipe holds one of them; who writes on after the probe's end is not waited for


class _Probe:
    """One look. `is_counted` once its result is known, or is of no interest."""

    def __init__(self, connection: _socket.socket, output: int) -> None:
        self.id = os.urandom(32).hex()
        self.connection = connection
        self.output = output
        self.begun = time.time()
        self.said = bytearray()
        self.pid = 0
        self.process = -1
        self.is_counted = False

    def read(self) -> bool:
        """Take what it has said, and forget what is too much; False at the end of it."""
        try:
            data = os.read(self.output, _CHUNK)
        except BlockingIOError:
            return False
        self.said += data[: MOST_OUTPUT + 1 - len(self.said)]
        return bool(data)

    def kill(self) -> None:
        """End it, and those of its session that have not gone ways of their own."""
        if self.process >= 0 and send_signal(self.process, _KILL):
            try:
                os.killpg(self.pid, _KILL)
            except (ProcessLookupError, PermissionError):
                pass


class Checks:
    """The health of one run of a container. `deadline` (monotonic seconds) is when `look` has something to do.

    One probe at a time: one that cannot be ended is waited for, and fails again and again. `health` has a command;
    `by_runtime` brings the probes in where no joiner may.
    """

    def __init__(
        self,
        loop: Loop,
        execs: Execs,
        health: Health,
        *,
        by_runtime: ByRuntime | None,
        path: str,
        is_paused: Callable[[], bool],
        tell: Callable[[str, dict[str, str]], None],
        on_change: Callable[[str], None],
    ) -> None:
        self.state = State()
        self.has_given_up = False
        self._loop = loop
        self._execs = execs
        self._by_runtime = by_runtime
        self._command = command(health)
        self._timing = Timing.of(health)
        self._path = path
        self._is_paused = is_paused
        self._tell = tell
        self._on_change = on_change
        self._started = time.time()
        self._probe: _Probe | None = None
        self.deadline: float | None = time.monotonic() + self.state.wait(self._timing, lived=0)
        self._note()

    def look(self) -> None:
        """Do what is due."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        if self._probe is not None:
            self._overdue(self._probe)
        elif self._is_held():
            self._wait()
        else:
            self._begin()

    def end(self) -> None:
        """Look no more; a probe that runs is killed."""
        self.deadline = None
        if self._probe is not None:
            self._probe.kill()
            self._let_go(self._probe)

    def _is_held(self) -> bool:
        try:
            return self._is_paused()
        except (EstibaError, OSError):
            return False  # it is just ending

    def _wait(self) -> None:
        self.deadline = time.monotonic() + self.state.wait(self._timing, lived=time.time() - self._started)

    def _begin(self) -> None:
        opened: list[int] = []
        kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        try:
            request = os.memfd_create("request", os.MFD_CLOEXEC)
            opened.append(request)
            os.write(request, ExecOptions(self._command).encoded())
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            opened.append(null)
            reading, writing = os.pipe2(os.O_CLOEXEC)
            opened += [writing, reading]
            os.set_blocking(reading, False)
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, kind)
            channel.send(ours, channel.REQUEST, descriptors=(request, null, writing, writing))
            opened.remove(reading)
        except OSError as error:
            now = time.time()
            self._wait()
            self._found(Result(now, now, -1, f"the health check could not be started: {error.strerror}"))
            return
        finally:
            for descriptor in opened:
                os.close(descriptor)
        probe = self._probe = _Probe(ours, reading)
        self.deadline = time.monotonic() + self._timing.timeout
        self._loop.watch(ours.fileno(), READ, lambda _events: self._told(probe))
        self._loop.watch(reading, READ, lambda _events: self._said(probe))
        self._execs.take(theirs, self._by_runtime)
        self._tell(f"exec_create: {' '.join(self._command)}", {"execID": probe.id})

    def _said(self, probe: _Probe) -> None:
        if not probe.read():
            self._loop.forget(probe.output)

    def _told(self, probe: _Probe) -> None:
        try:
            kind, content, descriptors = channel.receive(probe.connection)
        except BlockingIOError:
            return
        if kind == channel.BEGUN:
            probe.pid, (probe.process,) = int(content), descriptors
            self._tell(f"exec_start: {' '.join(self._command)}", {"execID": probe.id})
            if probe.is_counted:
                probe.kill()
            return
        for _ in range(_LAST_READS):
            if not probe.read():
                break
        was_counted = probe.is_counted
        self._let_go(probe)
        if kind == channel.ENDED:
            self._tell("exec_die", {"execID": probe.id, "exitCode": content.decode()})
        if kind == channel.NOT_HERE:
            self._give_up()
            return
        self._wait()
        if was_counted or (kind == channel.FAILED and self._is_held()):
            return
        if kind == channel.ENDED:
            code, output = int(content), text_of(bytes(probe.said))
        elif kind == channel.FAILED:
            code, output = -1, text_of(str(channel.facts(content)["message"]).encode(errors="replace"))
        else:
            code, output = -1, "the health check was lost"
        self._found(Result(probe.begun, time.time(), code, output))

    def _overdue(self, probe: _Probe) -> None:
        probe.kill()
        probe.is_counted = True
        self.deadline = time.monotonic() + self._timing.interval + self._timing.timeout
        if not self._is_held():
            output = overdue(self._timing.timeout, bytes(probe.said))
            self._found(Result(probe.begun, time.time(), -1, output))

    def _found(self, result: Result) -> None:
        before = self.state.status
        self.state = self.state.after(result, self._timing, started=self._started)
        self._note()
        if self.state.status != before:
            self._tell(f"health_status: {self.state.status}", {})
            self._on_change(self.state.status)

    def note_last(self, path: str) -> None:
        """Note at `path` what is known at the end of the run."""
        if self.has_given_up:
            health_file.forget(path)
        else:
            self._write(path, self.state._replace(status=UNHEALTHY))

    def _note(self) -> None:
        self._write(self._path, self.state)

    def _write(self, path: str, state: State) -> None:
        try:
            health_file.write(path, state)
        except OSError as error:
            print(f"the container's health cannot be noted: {error}", file=sys.stderr, flush=True)

    def _give_up(self) -> None:
        """What brings processes in cannot be loaded any more: better no health is shown than one that nobody looks
        after."""
        self.deadline = None
        self.has_given_up = True
        health_file.forget(self._path)

    def _let_go(self, probe: _Probe) -> None:
        self._probe = None
        for descriptor in (probe.connection.fileno(), probe.output):
            self._loop.forget(descriptor)
        probe.connection.close()
        os.close(probe.output)
        if probe.process >= 0:
            os.close(probe.process)
