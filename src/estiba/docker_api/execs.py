"""Further processes in containers as objects: made, started once, looked at, remembered for a while.

made ──start──▶ running ──the process ends──▶ ended, with its exit code
"""

from __future__ import annotations

import asyncio
import os

from estiba.docker_api import multiplex
from estiba.docker_api.descriptors import Descriptor
from estiba.docker_api.entering import Ending, Entered, enter
from estiba.docker_api.problems import words_of_failure
from estiba.docker_api.threads import Threads
from estiba.engine.engine import Engine
from estiba.engine.exec_options import ExecOptions
from estiba.engine.records import ContainerRecord
from estiba.engine.terminal import DetachKeys
from estiba.errors import CommandFailed, Conflict, NotFound
from estiba.values import NamedTuple
from estiba.web.upgrade import RawStream, StreamClosed

_REMEMBERED = 1024


class NoSuchExec(NotFound):
    def __init__(self, text: str) -> None:
        super().__init__(f"No such exec instance: {text}")


class Plan(NamedTuple):
    """What was asked for when the exec was made."""

    options: ExecOptions
    stdout: bool
    stderr: bool
    detach_keys: bytes = b""


class Exec:
    """One exec of one container."""

    def __init__(self, container_id: str, plan: Plan) -> None:
        self.id = os.urandom(32).hex()
        self.container_id = container_id
        self.plan = plan
        self.pid = 0
        self.was_started = False
        self.is_running = False
        self.exit_code: int | None = None
        self.terminal: Descriptor | None = None
        self.size: tuple[int, int] | None = None

    def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)
        if self.terminal is not None and rows and columns:
            self.terminal.resize(rows, columns)

    def to_json(self) -> dict[str, object]:
        options = self.plan.options
        return {
            "ID": self.id,
            "Running": self.is_running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": options.tty,
                "entrypoint": options.args[0],
                "arguments": list(options.args[1:]),
                "privileged": options.privileged,
                "user": options.user,
            },
            "OpenStdin": options.interactive,
            "OpenStderr": self.plan.stderr,
            "OpenStdout": self.plan.stdout,
            "CanRemove": not self.is_running,
            "ContainerID": self.container_id,
            "DetachKeys": "",
            "Pid": self.pid,
        }


class Execs:
    """Those that were made. Of the loop's thread only."""

    def __init__(self, engine: Engine, threads: Threads) -> None:
        self._engine = engine
        self._threads = threads
        self._known: dict[str, Exec] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def make(self, container_id: str, plan: Plan) -> Exec:
        """A new one; the oldest that have ended are forgotten."""
        for old in [e for e in self._known.values() if not e.is_running][: max(0, len(self._known) - _REMEMBERED)]:
            del self._known[old.id]
        made = Exec(container_id, plan)
        self._known[made.id] = made
        return made

    def get(self, text: str) -> Exec:
        """Raises:
        NoSuchExec.
        """
        try:
            return self._known[text]
        except KeyError:
            raise NoSuchExec(text) from None

    def running_in(self, container_id: str) -> list[str]:
        """The ids of what runs in a container."""
        return [e.id for e in self._known.values() if e.container_id == container_id and e.is_running]

    def claim(self, asked: Exec) -> None:
        """It can be started once.

        Raises:
            Conflict.
        """
        if asked.was_started:
            raise Conflict(f"Error: Exec command {asked.id} has already run")
        asked.was_started = True

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def detached(self, asked: Exec, record: ContainerRecord) -> None:
        """Start it and leave it alone.

        Raises:
            ExecFailed.
        """
        options = asked.plan.options._replace(interactive=False)
        try:
            entered = await self._enter(asked, record, options, None)
        except CommandFailed as error:
            asked.exit_code = error.exit_code
            raise
        terminal = Descriptor(entered.terminal) if entered.terminal >= 0 else None
        self._keep(asked, entered, terminal)

    def _keep(self, asked: Exec, entered: Entered, terminal: Descriptor | None) -> None:
        async def stay() -> None:
            reading = asyncio.create_task(_discard(terminal)) if terminal else None
            try:
                await _finish(asked, entered.ending())
            finally:
                if reading:
                    reading.cancel()
                if terminal:
                    terminal.close()

        task = asyncio.create_task(stay())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def attached(self, asked: Exec, record: ContainerRecord, stream: RawStream) -> None:
        """Start it with `stream` as its input and output; what prevents it is told there."""
        options = asked.plan.options
        pipes = None if options.tty else _Pipes(reads=options.interactive)
        try:
            entered = await self._enter(asked, record, options, pipes.theirs if pipes else None)
        except CommandFailed as error:
            asked.exit_code = error.exit_code
            words = words_of_failure(error.message, error.exit_code).encode() + b"\r\n"
            await stream.write(words if options.tty else multiplex.frame(multiplex.STDERR, words))
            return
        finally:
            if pipes:
                pipes.close_theirs()
        if pipes is None:
            terminal = asked.terminal = Descriptor(entered.terminal)
            if asked.size and all(asked.size):
                terminal.resize(*asked.size)
            session = _Session(asked, stream, terminal, {multiplex.STDOUT: terminal})
        else:
            session = _Session(asked, stream, pipes.input(), pipes.outputs())
        try:
            await session.run(entered.ending())
        finally:
            session.close()

    async def _enter(
        self, asked: Exec, record: ContainerRecord, options: ExecOptions, streams: tuple[int, int, int] | None
    ) -> Entered:
        entering = self._threads.begin(enter, self._engine, record, options, streams=streams)
        try:
            entered = await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(_let_go)
            raise
        asked.pid, asked.is_running = entered.pid, True
        return entered


class _Pipes:
    """Three pipes, or two and nothing to read."""

    def __init__(self, *, reads: bool) -> None:
        self._input = -1
        if reads:
            stdin, self._input = os.pipe2(os.O_CLOEXEC)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._output, stdout = os.pipe2(os.O_CLOEXEC)
        self._error, stderr = os.pipe2(os.O_CLOEXEC)
        self.theirs = (stdin, stdout, stderr)

    def close_theirs(self) -> None:
        for descriptor in self.theirs:
            os.close(descriptor)

    def input(self) -> Descriptor | None:
        return Descriptor(self._input) if self._input >= 0 else None

    def outputs(self) -> dict[int, Descriptor]:
        return {multiplex.STDOUT: Descriptor(self._output), multiplex.STDERR: Descriptor(self._error)}


class _Session:
    """One exec with a client."""

    def __init__(
        self, asked: Exec, stream: RawStream, typed: Descriptor | None, outputs: dict[int, Descriptor]
    ) -> None:
        self._asked = asked
        self._stream = stream
        self._typed = typed
        self._outputs = outputs

    async def run(self, end: Ending) -> None:
        """Until the process has ended; a client that goes away leaves it running, and its output goes nowhere."""
        reading = [asyncio.create_task(self._pass_output(n, d)) for n, d in self._outputs.items()]
        typing = asyncio.create_task(self._pass_input())
        ending = asyncio.create_task(_finish(self._asked, end))
        try:
            await asyncio.wait({typing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done() and typing.result():
                return
            await ending
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            for number, descriptor in self._outputs.items():
                while data := descriptor.read_now():
                    await self._send(number, data)
        finally:
            typing.cancel()
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, typing, return_exceptions=True)

    def close(self) -> None:
        for descriptor in {*self._outputs.values(), self._typed} - {None}:
            assert descriptor is not None
            descriptor.close()
        self._asked.terminal = None

    async def _pass_output(self, number: int, descriptor: Descriptor) -> None:
        while data := await descriptor.read():
            await self._send(number, data)

    async def _send(self, number: int, data: bytes) -> None:
        wanted = self._asked.plan.stdout if number == multiplex.STDOUT else self._asked.plan.stderr
        if not wanted:
            return
        try:
            await self._stream.write(data if self._asked.plan.options.tty else multiplex.frame(number, data))
        except StreamClosed:
            pass

    async def _pass_input(self) -> bool:
        """Whether the client leaves."""
        keys = DetachKeys(self._asked.plan.detach_keys)
        while data := await self._stream.read():
            if self._typed is None:
                continue
            passed, leaves = keys.feed(data)
            await self._typed.write(passed)
            if leaves:
                return True
        if self._typed is not None and not self._asked.plan.options.tty:
            self._typed.close()
        return False


async def _finish(asked: Exec, end: Ending) -> None:
    """Wait for the end of the process, and write it down."""
    try:
        asked.exit_code = await end.code()
    finally:
        asked.is_running, asked.pid = False, 0
        end.close()


def _let_go(entering: asyncio.Future[Entered]) -> None:
    """The process runs, and its client has gone away before it was told: as with one that goes away later."""
    if not entering.cancelled() and entering.exception() is None:
        entering.result().close()


async def _discard(descriptor: Descriptor) -> None:
    while await descriptor.read():
        pass
