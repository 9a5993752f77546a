"""The standard streams of one further process in a container, from its start to its end.

begin ──▶ Begun: the process, and our ends of its pipes or of its terminal
Running ──output──▶ the client, while it stays; then nowhere, and the process goes on
"""

from __future__ import annotations

import asyncio
import os

from estiba.docker_api import multiplex
from estiba.docker_api.descriptors import Descriptor
from estiba.docker_api.entering import Entered
from estiba.engine.exec_options import ExecOptions
from estiba.engine.records import ContainerRecord
from estiba.values import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from estiba.web.upgrade import RawStream


class Enter(Protocol):
    """`entering.enter` of one engine."""

    def __call__(
        self, record: ContainerRecord, options: ExecOptions, *, streams: tuple[int, int, int] | None
    ) -> Entered: ...


class Begun(NamedTuple):
    """A running process and our ends of its pipes: those that are there are open and ours."""

    entered: Entered
    typed: int = -1
    output: int = -1
    error: int = -1

    def close(self) -> None:
        """Let go of the process. Blocks for no time."""
        self.entered.close()
        for number in (self.typed, self.output, self.error):
            if number >= 0:
                os.close(number)


def begin(enter: Enter, record: ContainerRecord, options: ExecOptions, *, is_read: bool) -> Begun:
    """Start the process; `is_read`: somebody will read what it writes, else that goes to /dev/null.

    To be called in a thread: every descriptor is this call's until it returns, and a failure leaves none open.

    Raises:
        What `enter` raises. OSError: no more descriptors.
    """
    if options.tty or not is_read:
        return Begun(enter(record, options, streams=None))
    pipes = _Pipes(reads=options.interactive)
    try:
        entered = enter(record, options, streams=(pipes.stdin, pipes.stdout, pipes.stderr))
    except BaseException:
        pipes.close(pipes.typed, pipes.output, pipes.error)
        raise
    finally:
        pipes.close(pipes.stdin, pipes.stdout, pipes.stderr)
    return Begun(entered, pipes.typed, pipes.output, pipes.error)


class _Pipes:
    """Three pipes, or two and nothing to read: the ends of the process and ours (`typed`, `output`, `error`)."""

    def __init__(self, *, reads: bool) -> None:
        self.typed = self.stdin = self.output = self.stdout = self.error = self.stderr = -1
        try:
            if reads:
                self.stdin, self.typed = os.pipe2(os.O_CLOEXEC)
            else:
                self.stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            self.output, self.stdout = os.pipe2(os.O_CLOEXEC)
            self.error, self.stderr = os.pipe2(os.O_CLOEXEC)
        except OSError:
            self.close(self.typed, self.stdin, self.output, self.stdout, self.error, self.stderr)
            raise

    @staticmethod
    def close(*numbers: int) -> None:
        for number in numbers:
            if number >= 0:
                os.close(number)


class Output(NamedTuple):
    """Where the client wants to hear of, and how: as frames, or raw."""

    stdout: bool
    stderr: bool
    is_raw: bool


class Running:
    """One process until its end. Of the loop's thread only."""

    def __init__(self, begun: Begun, client: RawStream | None, wanted: Output) -> None:
        self._end = begun.entered.ending()
        self._client = client
        self._wanted = wanted
        self.terminal: Descriptor | None = None
        self._typed: Descriptor | None = None
        self._outputs: dict[int, Descriptor] = {}
        if begun.entered.terminal >= 0:
            self.terminal = self._typed = Descriptor(begun.entered.terminal)
            self._outputs[multiplex.STDOUT] = self.terminal
        if begun.typed >= 0:
            self._typed = Descriptor(begun.typed)
        if begun.output >= 0:
            self._outputs |= {multiplex.STDOUT: Descriptor(begun.output), multiplex.STDERR: Descriptor(begun.error)}

    async def type(self, data: bytes) -> None:
        if self._typed is not None:
            await self._typed.write(data)

    def end_input(self) -> None:
        """There is no more to read for the process; a terminal stays open."""
        if self._typed is not None and self._typed is not self.terminal:
            self._typed.close()

    def leave(self) -> None:
        """The client wants no more, and sends none."""
        self._client = None
        self.end_input()

    async def exit_code(self) -> int:
        """Pass its output on until it ends."""
        reading = [asyncio.create_task(self._pass_output(n, d)) for n, d in self._outputs.items()]
        try:
            return await self._end.code()
        finally:
            self._end.close()
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def rest(self) -> None:
        """Pass on what the ended process has left; whoever else still has its streams is not waited for."""
        for number, descriptor in self._outputs.items():
            while data := descriptor.read_now():
                await self._send(number, data)

    def close(self) -> None:
        for descriptor in {*self._outputs.values(), self._typed} - {None}:
            assert descriptor is not None
            descriptor.close()
        self.terminal = None

    async def _pass_output(self, number: int, descriptor: Descriptor) -> None:
        while data := await descriptor.read():
            await self._send(number, data)

    async def _send(self, number: int, data: bytes) -> None:
        is_wanted = self._wanted.stdout if number == multiplex.STDOUT else self._wanted.stderr
        if self._client is None or not is_wanted:
            return
        try:
            await self._client.write(data if self._wanted.is_raw else multiplex.frame(number, data))
        except ConnectionError:
            self._client = None
