"""Those who have attached to a container: its output goes to their streams, what they send goes to its input."""

from __future__ import annotations

import asyncio

from estiba.docker_api import multiplex
from estiba.engine import frames
from estiba.engine.terminal import DetachKeys
from estiba.values import TYPE_CHECKING, NamedTuple
from estiba.web.upgrade import RawStream, StreamClosed

if TYPE_CHECKING:
    from estiba.docker_api.monitor import Monitor

_STREAMS = {frames.OUTPUT: multiplex.STDOUT, frames.ERROR_OUTPUT: multiplex.STDERR}


class Wanted(NamedTuple):
    """What a client asks for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool
    detach_keys: bytes = b""


class Attached:
    """One client. `ends_input`: when it has sent all, so has the container's input (Docker's StdinOnce)."""

    def __init__(
        self, stream: RawStream, wanted: Wanted, *, ends_input: bool, size: tuple[int, int] | None = None
    ) -> None:
        self._stream = stream
        self._wanted = wanted
        self._ends_input = ends_input
        self.size = size
        self._done = asyncio.Event()
        self._started: asyncio.Future[Monitor] = asyncio.get_running_loop().create_future()

    @property
    def gives_input(self) -> bool:
        return self._wanted.stdin

    def begin(self, monitor: Monitor) -> None:
        """The container runs."""
        if not self._started.done():
            self._started.set_result(monitor)

    def finish(self) -> None:
        """There is no more to come."""
        self._done.set()

    async def output(self, frame: frames.Frame) -> None:
        """Send what the container wrote, if the client wants it."""
        number = _STREAMS[frame.kind]
        if not (self._wanted.stdout if number == multiplex.STDOUT else self._wanted.stderr):
            return
        try:
            await self._stream.write(frame.content if self._wanted.tty else multiplex.frame(number, frame.content))
        except StreamClosed:
            self._done.set()

    async def stay(self) -> None:
        """Until the container has ended or the client has gone."""
        typing = asyncio.create_task(self._pass_input())
        ending = asyncio.create_task(self._done.wait())
        try:
            await asyncio.wait({typing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done() and not typing.result():
                await ending
        finally:
            for task in (typing, ending):
                task.cancel()
            await asyncio.gather(typing, ending, return_exceptions=True)

    async def _pass_input(self) -> bool:
        """Pass on what the client sends; whether it leaves."""
        keys = DetachKeys(self._wanted.detach_keys)
        while data := await self._stream.read():
            if not self._wanted.stdin:
                continue
            monitor = await asyncio.shield(self._started)
            passed, leaves = keys.feed(data)
            if passed:
                await monitor.send(frames.INPUT, passed)
            if leaves:
                return True
        if self._wanted.stdin and self._ends_input:
            monitor = await asyncio.shield(self._started)
            await monitor.send(frames.INPUT_END)
        return self._stream.is_lost
