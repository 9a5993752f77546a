"""Further processes in containers as objects: made, started once, looked at, remembered for a while.

made ──start──▶ running ──the process ends──▶ ended, with its exit code

It runs on when its client leaves or goes away, as in Docker.
"""

from __future__ import annotations

import asyncio
import os

from estiba.docker_api import multiplex
from estiba.docker_api.events import Events
from estiba.docker_api.exec_streams import Begun, Enter, Output, Running, begin
from estiba.docker_api.problems import words_of_failure
from estiba.docker_api.tasks import Tasks
from estiba.docker_api.threads import Threads
from estiba.engine.exec_options import ExecOptions
from estiba.engine.records import ContainerRecord
from estiba.engine.terminal import DetachKeys
from estiba.errors import CommandFailed, Conflict, EstibaError, NotFound
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.web.upgrade import RawStream

_REMEMBERED = 1024
_CANNOT_EXECUTE = 126  # what could not be started ended with, where nothing better is known


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
    """One exec of one container. `is_raw`: its client reads plain bytes and no frames, as it says when it starts it."""

    def __init__(self, container_id: str, plan: Plan) -> None:
        self.id = os.urandom(32).hex()
        self.container_id = container_id
        self.plan = plan
        self.pid = 0
        self.was_started = False
        self.is_raw = False
        self.exit_code: int | None = None
        self.client: RawStream | None = None
        self.running: Running | None = None
        self.size: tuple[int, int] | None = None

    @property
    def is_running(self) -> bool:
        return self.pid > 0

    def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)
        terminal = self.running.terminal if self.running else None
        if terminal is not None and rows and columns:
            terminal.resize(rows, columns)

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

    def __init__(self, enter: Enter, threads: Threads, events: Events) -> None:
        self._enter = enter
        self._threads = threads
        self._events = events
        self._known: dict[str, Exec] = {}
        self._tasks = Tasks()

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

    def tell(self, action: str, asked: Exec, record: ContainerRecord, **more: str) -> None:
        """An event of this exec."""
        self._events.tell_of(record, action, {"execID": asked.id, **more})

    def close(self) -> None:
        self._tasks.close()

    async def detached(self, asked: Exec, record: ContainerRecord) -> None:
        """Start it and leave it alone.

        Raises:
            ExecFailed and what else `enter` raises.
        """
        await asyncio.shield(self._tasks.spawn(self._start(asked, record)))

    async def attached(self, asked: Exec, record: ContainerRecord, stream: RawStream) -> None:
        """Start it with `stream` as its input and output; what prevents it is told there."""
        asked.client = stream
        try:
            living = await asyncio.shield(self._tasks.spawn(self._start(asked, record)))
            await _stay(asked, stream, living)
        except EstibaError as error:
            words = words_of_failure(error.message, asked.exit_code or 0).encode() + b"\r\n"
            await stream.write(words if asked.is_raw else multiplex.frame(multiplex.STDERR, words))
        finally:
            asked.client = None
            if asked.running is not None:
                asked.running.leave()
                self.tell("exec_detach", asked, record)

    async def _start(self, asked: Exec, record: ContainerRecord) -> asyncio.Task[None]:
        """Start it, and watch over it until it ends, whoever waits for that or not."""
        plan, is_read = asked.plan, asked.client is not None
        options = plan.options if is_read else plan.options._replace(interactive=False)
        try:
            begun = await self._threads.made(begin, Begun.close, self._enter, record, options, is_read=is_read)
        except EstibaError as error:
            asked.exit_code = error.exit_code if isinstance(error, CommandFailed) else _CANNOT_EXECUTE
            raise
        running = Running(begun, asked.client, Output(plan.stdout, plan.stderr, is_raw=asked.is_raw))
        asked.pid, asked.running = begun.entered.pid, running
        if asked.client is None:  # it has gone away meanwhile, or there was none
            running.leave()
        if asked.size is not None:
            asked.resize(*asked.size)
        return self._tasks.spawn(self._live(asked, record, running))

    async def _live(self, asked: Exec, record: ContainerRecord, running: Running) -> None:
        try:
            asked.exit_code = await running.exit_code()
            asked.pid = 0
            self.tell("exec_die", asked, record, exitCode=str(asked.exit_code))
            await running.rest()
        finally:
            asked.pid, asked.running = 0, None
            running.close()


async def _stay(asked: Exec, stream: RawStream, living: asyncio.Task[None]) -> None:
    """Until it has ended or the client leaves."""
    typing = asyncio.create_task(_pass_input(asked, stream))
    try:
        await asyncio.wait({typing, living}, return_when=asyncio.FIRST_COMPLETED)
        if living.done() or not typing.result():
            await asyncio.shield(living)
    finally:
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)


async def _pass_input(asked: Exec, stream: RawStream) -> bool:
    """Pass on what the client sends; whether it leaves."""
    running = asked.running
    keys = DetachKeys(asked.plan.detach_keys)
    while running is not None and (data := await stream.read()):
        passed, leaves = keys.feed(data)
        await running.type(passed)
        if leaves:
            return True
    if running is not None:
        running.end_input()
    return stream.is_lost
