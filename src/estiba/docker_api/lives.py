"""The containers that run, as this daemon sees them: a connection to the monitor of each, which brings its end.

    start ──▶ Life: output to those who attached before the start; its end to those who wait
    adopt ──▶ the same for what ran when the daemon began

A monitor does not need us: when the daemon is killed, the connection ends and the container goes on.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Mapping

from estiba.docker_api.events import Events
from estiba.docker_api.monitor import Monitor
from estiba.docker_api.tasks import Tasks
from estiba.docker_api.threads import Threads
from estiba.engine import frames
from estiba.engine.engine import Attachment, Engine
from estiba.engine.lifecycle import HAS_MONITOR
from estiba.engine.revival import to_revive
from estiba.errors import EstibaError
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.docker_api.attachments import Attached
    from estiba.engine.records import ContainerRecord

_REMEMBERED = 4096
_PAUSE = 0.2


class Life:
    """One container from its start to its end.

    Its news come by a connection of their own, so that a client that is slow to take the `output` holds none up.
    `is_new`: nothing has been told of it yet.
    """

    def __init__(
        self,
        record: ContainerRecord,
        news: Monitor,
        clients: list[Attached],
        output: Monitor | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.record = record
        self.news = news
        self.clients = clients
        self.output = output
        self.is_new = is_new
        self.is_down = False  # has ended, and is to start again
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def write(self, frame: frames.Frame) -> None:
        """Have the clients hear what it wrote."""
        for client in list(self.clients):
            await client.output(frame)

    def finish(self) -> None:
        """The clients will hear no more."""
        for client in self.clients:
            client.finish()


class Lives:
    """All of them. Of the loop's thread only."""

    def __init__(self, engine: Engine, threads: Threads, events: Events) -> None:
        self._engine = engine
        self._threads = threads
        self._events = events
        self._lives: dict[str, Life] = {}
        self._tasks = Tasks()
        self._waiting: dict[str, list[Attached]] = {}
        self._exit_codes: OrderedDict[str, int] = OrderedDict()
        self._changed = asyncio.Condition()

    async def adopt(self) -> None:
        """Watch what runs already, and start what should run."""
        records = await self._threads.quick(self._engine.all)
        for record in records:
            if record.state in HAS_MONITOR:
                await self._watch(record)
        for record in to_revive(records):
            self._tasks.spawn(self._revive(record))

    async def _revive(self, record: ContainerRecord) -> None:
        try:
            await self.start(record)
        except EstibaError as error:
            print(f"container {record.name} does not start again: {error.message}", file=sys.stderr, flush=True)

    def close(self) -> None:
        self._tasks.close()

    # Starting

    def wait_for_start(self, container_id: str, client: Attached) -> None:
        """Attach `client` as soon as the container starts."""
        self._waiting.setdefault(container_id, []).append(client)

    def leave(self, container_id: str, client: Attached) -> None:
        """The client does not want any more."""
        for clients in (self._waiting.get(container_id, []), *(life.clients for life in self._lives.values())):
            if client in clients:
                clients.remove(client)
        if not self._waiting.get(container_id, [None]):
            del self._waiting[container_id]

    async def start(self, record: ContainerRecord) -> bool:
        """Start the container; False when it runs already.

        Raises:
            StartFailed and what else `Engine.start` does; those who waited for the start are sent away.
        """
        # A client that goes away in the midst of it leaves a container that is watched like any other.
        return await asyncio.shield(self._tasks.spawn(self._start(record)))

    async def _start(self, record: ContainerRecord) -> bool:
        clients = self._waiting.pop(record.id, [])
        attachment = Attachment(
            output=bool(clients),
            gives_input=any(client.gives_input for client in clients),
            size=next((client.size for client in clients if client.size), None),
        )
        try:
            connection = await self._threads.slow(self._engine.start, record.id, attachment)
        except Exception:
            for client in clients:
                client.finish()
            if record.parsed_options().auto_remove:
                await self._drop(record)
            raise
        if connection is None:
            for client in clients:
                client.finish()
            return False
        monitor = Monitor(connection)
        news = await self._listen(record._replace(run=self._engine.run)) if clients else None
        self._begin(Life(record, news or monitor, clients, monitor if news else None, is_new=True))
        self._tell("start", record)
        await self.notify()
        return True

    async def _drop(self, record: ContainerRecord) -> None:
        """A container that was to remove itself, and did not start."""
        self._exit_codes[record.id] = 125
        try:
            await self._threads.slow(self._engine.remove, record.id, volumes=True)
        except EstibaError:
            return
        self._tell("destroy", record)
        await self.notify()

    async def _watch(self, record: ContainerRecord) -> None:
        """Have the end of a container told that somebody else started."""
        monitor = await self._listen(record)
        if monitor is None:
            return  # it is just ending
        if record.id in self._lives:
            monitor.close()
        else:
            self._begin(Life(record, monitor, []))

    async def _listen(self, record: ContainerRecord) -> Monitor | None:
        """A connection that brings a container's news; None where it is just ending."""

        def connect() -> frames.Connection:
            connection = self._engine.connect(record)
            connection.send(frames.WAIT)
            return connection

        try:
            return Monitor(await self._threads.made(connect, frames.Connection.close))
        except EstibaError:
            return None

    def _begin(self, life: Life) -> None:
        self._lives[life.record.id] = life
        for client in life.clients:
            client.begin(life.output or life.news)
        self._tasks.spawn(self._live(life))
        if life.output is not None:
            self._tasks.spawn(_pass_output(life, life.output))

    async def _live(self, life: Life) -> None:
        """Hear of it until the end."""
        exit_code: int | None = None
        try:
            await life.news.send(frames.WAIT, {"past": life.is_new})
            while exit_code is None and (received := await life.news.receive()):
                for frame in received:
                    if frame.kind == frames.ENDED:
                        exit_code = int(frame.json()["exit_code"])
                        break
                    if frame.kind == frames.NEWS:
                        self._hear(life, **frame.json())
                    if frame.kind in (frames.OUTPUT, frames.ERROR_OUTPUT):
                        await life.write(frame)
        finally:
            life.news.close()
            if life.output is None:
                life.finish()
            if self._lives.get(life.record.id) is life:
                del self._lives[life.record.id]
            if not life.ended.done() and exit_code is None:
                life.ended.cancel()
        if exit_code is None:
            exit_code = await self._recovered(life.record)
        await self._end(life, exit_code)

    def _hear(self, life: Life, action: str, about: dict[str, str]) -> None:
        self._tell(action, life.record, about)
        life.is_down = action == "die" or (life.is_down and action != "start")
        if action == "die":  # it starts again, but those who wait for an end have it
            self._exit_codes[life.record.id] = int(about["exitCode"])
            life.ended.set_result(int(about["exitCode"]))
            life.ended = asyncio.get_running_loop().create_future()

    async def _recovered(self, record: ContainerRecord) -> int:
        """The exit code of a container whose monitor was killed."""

        def settled() -> int:
            current = self._engine.containers.get(record.id)
            current = self._engine.fresh(current) if current else None
            return current.exit_code if current else 137

        try:
            return await self._threads.slow(settled)
        except EstibaError:
            return 137

    async def _end(self, life: Life, exit_code: int) -> None:
        self._exit_codes[life.record.id] = exit_code
        while len(self._exit_codes) > _REMEMBERED:
            self._exit_codes.popitem(last=False)
        if not life.ended.done():
            life.ended.set_result(exit_code)
        if not life.is_down:
            self._tell("die", life.record, {"exitCode": str(exit_code)})
        if await self._threads.quick(self._engine.containers.get, life.record.id) is None:
            self._tell("destroy", life.record)
        await self.notify()

    # Waiting

    async def notify(self) -> None:
        """Something about a container is different: those who wait look again."""
        async with self._changed:
            self._changed.notify_all()

    async def exit_code(self, record: ContainerRecord, condition: str) -> int:
        """Wait until the container does not run (``not-running``), has ended once more (``next-exit``) or is gone
        (``removed``); gives its exit code.
        """
        code = record.exit_code
        if record.state in HAS_MONITOR or condition == "next-exit":
            code = await self._next_end(record)
        while condition == "removed":
            current = await self._threads.quick(self._engine.containers.get, record.id)
            if current is None:
                return self._exit_codes.get(record.id, code)
            if current.state in HAS_MONITOR:
                code = await self._next_end(current)
            else:
                code = current.exit_code
                await self._pause()
        return code

    async def _next_end(self, before: ContainerRecord) -> int:
        while True:
            life = self._lives.get(before.id)
            if life is not None:
                try:
                    return await asyncio.shield(life.ended)
                except asyncio.CancelledError:
                    if not life.ended.cancelled():
                        raise
            current = await self._threads.quick(self._engine.containers.get, before.id)
            current = await self._threads.quick(self._engine.fresh, current) if current else None
            if current is None:
                return self._exit_codes.get(before.id, 0)
            if current.state in HAS_MONITOR and before.id not in self._lives:
                await self._watch(current)
            elif current.finished > before.finished:
                return current.exit_code
            if before.id not in self._lives:
                await self._pause()

    async def _pause(self) -> None:
        """Until something happens here, or long enough for something to have happened elsewhere."""
        try:
            async with asyncio.timeout(_PAUSE), self._changed:
                await self._changed.wait()
        except TimeoutError:
            pass

    def _tell(self, action: str, record: ContainerRecord, more: Mapping[str, str] | None = None) -> None:
        self._events.tell_of(record, action, more or {})


async def _pass_output(life: Life, output: Monitor) -> None:
    """Until the end of the container, which comes after the last of its output."""
    try:
        while received := await output.receive():
            for frame in received:
                if frame.kind == frames.ENDED:
                    return
                if frame.kind in (frames.OUTPUT, frames.ERROR_OUTPUT):
                    await life.write(frame)
    finally:
        output.close()
        life.finish()
