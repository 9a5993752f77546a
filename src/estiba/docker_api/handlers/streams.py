"""What a container writes and reads: attach, logs, the size of its terminal."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from estiba.docker_api import multiplex
from estiba.docker_api.arguments import is_true, moment, rfc3339, whole_number
from estiba.docker_api.attachments import Attached, Wanted
from estiba.docker_api.exchange import Exchange, nothing
from estiba.docker_api.handlers.containers import find
from estiba.docker_api.monitor import Monitor
from estiba.docker_api.threads import Threads
from estiba.engine import frames, lifecycle, logs
from estiba.engine.quantities import is_number
from estiba.engine.records import ContainerRecord
from estiba.engine.terminal import DETACH, parse_detach_keys
from estiba.errors import Conflict, InvalidInput
from estiba.linux.inotify import DirectoryWatch

LONGEST_SIDE = (1 << 16) - 1
"""Of a terminal: the kernel takes no more (struct winsize)."""

_BATCH = 512
_LONGEST_PAUSE = 1.0
_PAUSE_WITHOUT = 0.1


def detach_keys(exchange: Exchange, *, tty: bool) -> bytes:
    """The keys that leave a container: only a terminal has them."""
    if not tty:
        return b""
    text = exchange.text("detachKeys")
    return parse_detach_keys(text) if text else DETACH


async def attach(exchange: Exchange) -> web.StreamResponse:
    """Before the start: all output from the first byte on. Later: what comes from now on."""
    record = await find(exchange)
    options = record.parsed_options()
    if record.state in (lifecycle.PAUSED, lifecycle.REMOVING, lifecycle.DEAD):
        raise Conflict(f"container {record.name} is {record.state}: it cannot be attached to")
    streams = exchange.flag("stream")
    wanted = Wanted(
        stdin=streams and exchange.flag("stdin") and options.interactive,
        stdout=exchange.flag("stdout"),
        stderr=exchange.flag("stderr"),
        tty=options.tty,
        detach_keys=detach_keys(exchange, tty=options.tty),
    )
    api = exchange.api
    is_running = record.state in lifecycle.HAS_MONITOR
    monitor = None
    if streams and is_running:
        connection = await api.threads.made(
            api.engine.attach, frames.Connection.close, record, gives_input=wanted.stdin
        )
        monitor = Monitor(connection)
    try:
        stream = exchange.take_over(multiplex.content_type(tty=options.tty, version=exchange.version))
        client = Attached(stream, wanted, ends_input=not is_running)
        api.events.tell_of(record, "attach")
        try:
            if exchange.flag("logs"):
                await _send_past(exchange, record, client)
            if monitor is not None:
                await _stay(client, monitor)
            elif streams:
                api.lives.wait_for_start(record.id, client)
                await client.stay()
        finally:
            api.lives.leave(record.id, client)
            await stream.close()
    finally:
        if monitor is not None:
            monitor.close()
    return web.Response()


async def _send_past(exchange: Exchange, record: ContainerRecord, client: Attached) -> None:
    """What the container has written so far."""
    reading = _Reading(exchange.api.threads, logs.LogReader(exchange.api.engine.paths(record.id).log))
    try:
        async for batch in reading.batches():
            for entry in batch:
                kind = frames.ERROR_OUTPUT if entry.stream == "stderr" else frames.OUTPUT
                await client.output(frames.Frame(kind, entry.data))
    finally:
        reading.close()


async def _stay(client: Attached, monitor: Monitor) -> None:
    """With a container that ran already, over a connection of our own."""

    async def listen() -> None:
        while received := await monitor.receive():
            for frame in received:
                if frame.kind in (frames.OUTPUT, frames.ERROR_OUTPUT):
                    await client.output(frame)
                elif frame.kind == frames.ENDED:
                    return

    client.begin(monitor)
    listening = asyncio.create_task(listen())
    listening.add_done_callback(lambda _task: client.finish())
    try:
        await client.stay()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def resize(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    rows, columns = size_of(exchange)
    if record.state != lifecycle.RUNNING:
        raise Conflict(f"container {record.name} is not running")

    def work() -> None:
        with exchange.api.engine.connect(record) as connection:
            connection.send(frames.RESIZE, (rows, columns))

    if rows and columns:
        await exchange.api.threads.quick(work)
    return nothing(200)


def size_of(exchange: Exchange) -> tuple[int, int]:
    """Rows and columns of the query. Raises InvalidInput."""
    rows, columns = whole_number(exchange.text("h", "0"), "h"), whole_number(exchange.text("w", "0"), "w")
    if not (0 <= rows <= LONGEST_SIDE and 0 <= columns <= LONGEST_SIDE):
        raise InvalidInput(f"a terminal of {rows} rows and {columns} columns cannot be")
    return rows, columns


async def show_logs(exchange: Exchange) -> web.StreamResponse:
    record = await find(exchange)
    options = record.parsed_options()
    shown = {name for name in ("stdout", "stderr") if exchange.flag(name)}
    if not shown:
        raise InvalidInput("Bad parameters: you must choose at least one stream")
    if options.logs.driver == "none":
        raise InvalidInput("configured logging driver does not support reading")
    tail = exchange.text("tail", "all")
    reader = _Logs(
        exchange,
        record,
        shown=shown,
        since=rfc3339(moment(exchange.text("since"))),
        until=rfc3339(moment(exchange.text("until"))),
        tail=int(tail) if is_number(tail) else None,
    )
    kind = multiplex.content_type(tty=options.tty, version=exchange.version)
    response = await exchange.begin(kind)
    try:
        await reader.send(response, follows=is_true(exchange.text("follow")))
    finally:
        reader.close()
    await response.write_eof()
    return response


class _Logs:
    """One reading of a log."""

    def __init__(
        self, exchange: Exchange, record: ContainerRecord, *, shown: set[str], since: str, until: str, tail: int | None
    ) -> None:
        self._api = exchange.api
        self._record = record
        self._tty = record.parsed_options().tty
        self._with_times = exchange.flag("timestamps")
        self._shown = shown
        self._since = since
        self._until = until
        self._path = self._api.engine.paths(record.id).log
        self._reading = _Reading(self._api.threads, logs.LogReader(self._path, tail=tail))

    def close(self) -> None:
        self._reading.close()

    async def send(self, response: web.StreamResponse, *, follows: bool) -> None:
        if not follows:
            await self._send_available(response)
            return
        with DirectoryWatch(os.path.dirname(self._path)) as watch:
            while True:
                lives = await self._api.threads.quick(self._is_alive)  # first: what comes before the end is read below
                if not await self._send_available(response) or not lives:
                    return
                await _something(watch)

    async def _send_available(self, response: web.StreamResponse) -> bool:
        """Send what there is; False where the time that was asked for is over."""
        async for batch in self._reading.batches():
            data = bytearray()
            for entry in batch:
                if self._until and entry.time > self._until:
                    await response.write(bytes(data))
                    return False
                data += self._shape(entry)
            if data:
                await response.write(bytes(data))
        return True

    def _shape(self, entry: logs.Entry) -> bytes:
        if entry.stream not in self._shown or (self._since and entry.time < self._since):
            return b""
        data = entry.time.encode() + b" " + entry.data if self._with_times else entry.data
        return data if self._tty else multiplex.frame(multiplex.NUMBERS[entry.stream], data)

    def _is_alive(self) -> bool:
        current = self._api.engine.containers.get(self._record.id)
        current = self._api.engine.fresh(current) if current else None
        return current is not None and current.state in lifecycle.HAS_MONITOR


class _Reading:
    """The entries of a log in batches, each read by a thread, which has the file until it is done."""

    def __init__(self, threads: Threads, reader: logs.LogReader) -> None:
        self._threads = threads
        self._reader = reader
        self._next: asyncio.Task[list[logs.Entry]] | None = None

    async def batches(self) -> AsyncIterator[list[logs.Entry]]:
        """What there is."""
        entries = self._reader.available()
        while True:
            self._next = asyncio.create_task(self._threads.quick(_some, entries))
            batch = await asyncio.shield(self._next)
            if not batch:
                return
            yield batch

    def close(self) -> None:
        if self._next is None or self._next.done():
            self._reader.__exit__()
        else:
            self._next.add_done_callback(lambda _: self._reader.__exit__())


def _some(entries: Iterator[logs.Entry]) -> list[logs.Entry]:
    return list(itertools.islice(entries, _BATCH))


async def _something(watch: DirectoryWatch) -> None:
    """Wait until a file has changed, or a second."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    is_watched = watch.descriptor >= 0
    if is_watched:
        loop.add_reader(watch.descriptor, changed.set)
    try:
        async with asyncio.timeout(_LONGEST_PAUSE if is_watched else _PAUSE_WITHOUT):
            await changed.wait()
    except TimeoutError:
        pass
    finally:
        if is_watched:
            loop.remove_reader(watch.descriptor)
    watch.clear()
