"""What is heard of a container, with sockets in place of its monitor."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

from estiba.docker_api.events import Events
from estiba.docker_api.lives import Lives
from estiba.docker_api.threads import Threads
from estiba.engine import frames


class Record:
    id, name, image, run, state, exit_code, finished = "c" * 64, "box", "busybox", "", "created", 0, 0.0

    def _replace(self, **_fields: object) -> Record:
        return self

    def parsed_process(self) -> Any:
        return SimpleNamespace(labels=())

    def parsed_options(self) -> Any:
        return SimpleNamespace(auto_remove=False, health=SimpleNamespace(test=()))


class Monitor:
    """Those who have connected, the one who started the container first."""

    def __init__(self) -> None:
        self.run = "/run"
        self.containers = SimpleNamespace(get=lambda _id: None)
        self.connections: list[socket.socket] = []

    def connect(self, _record: object, _attachment: object = None) -> frames.Connection:
        ours, theirs = socket.socketpair()
        self.connections.append(ours)
        return frames.Connection(theirs)

    start = connect

    def tells(self, kind: int, content: object) -> None:
        for connection in self.connections:
            connection.send(frames.encoded(kind, content))


class SlowClient:
    gives_input, size = False, None

    def __init__(self) -> None:
        self.may_go_on, self.got, self.is_finished = asyncio.Event(), b"", False

    def begin(self, _monitor: object) -> None: ...

    def finish(self) -> None:
        self.is_finished = True

    async def output(self, frame: frames.Frame) -> None:
        await self.may_go_on.wait()
        self.got += frame.content


def test_a_client_that_is_slow_holds_up_nobody_elses_news() -> None:
    async def play() -> None:
        threads, events, monitor, client = Threads(), Events(), Monitor(), SlowClient()
        lives = Lives(monitor, threads, events)  # type: ignore[arg-type]
        record: Any = Record()
        lives.wait_for_start(record.id, client)  # type: ignore[arg-type]
        assert await lives.start(record)
        ended = lives._lives[record.id].ended
        starter, _news = monitor.connections
        starter.send(frames.encoded(frames.OUTPUT, b"much"))
        monitor.tells(frames.ENDED, {"exit_code": 3})
        async with asyncio.timeout(5):
            assert await ended == 3
            while "die" not in (told := [event.action for event in events.since(0)]):
                await asyncio.sleep(0)
            assert told == ["start", "die"] and not client.is_finished
            client.may_go_on.set()
            while not client.is_finished:
                await asyncio.sleep(0)
        assert client.got == b"much"
        lives.close()
        threads.close()
        for connection in monitor.connections:
            connection.close()

    asyncio.run(play())
