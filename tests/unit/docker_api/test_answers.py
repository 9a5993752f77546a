"""Answers without end: clients that go away, that are slow, and failures in the midst of a body."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from estiba.docker_api.application import Application
from estiba.docker_api.build_words import BuildWords
from estiba.docker_api.events import Events, Listener
from estiba.docker_api.exchange import Exchange, Head
from estiba.docker_api.incoming import with_body
from estiba.docker_api.monitor import Monitor
from estiba.docker_api.telling import _MOST_WAITING, Tell, tell
from estiba.docker_api.threads import Threads
from estiba.docker_api.versions import NEWEST
from estiba.engine import frames
from estiba.errors import Conflict, Unavailable
from estiba.graph.cancellation import Cancelled
from estiba.graph.vertex import Scratch, Vertex
from estiba.web.listen import UnixAddress
from estiba.web.server import HttpServer


class Stage:
    """A server whose every request `handler` answers, or the application's own handlers where there is none."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/s"
        self.threads, self.events = Threads(), Events()
        facts = SimpleNamespace(version="1")
        self.api: Any = SimpleNamespace(threads=self.threads, events=self.events, backends=SimpleNamespace(facts=facts))
        self.handler: Callable[[Exchange], Coroutine[Any, Any, Any]] | None = None
        self.clients: list[socket.socket] = []
        self.complaints: list[dict[str, Any]] = []

    async def handle(self, request: Any, head: Head) -> Any:
        assert self.handler is not None
        return await self.handler(Exchange(self.api, request, NEWEST, {}, head))

    def ask(self, head: str, *, buffer: int = 0) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(self.path)
        self.clients.append(client)
        client.setblocking(False)
        client.send(f"{head} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
        return client


def played(directory: Any, play: Callable[[Stage], Coroutine[Any, Any, None]]) -> Stage:
    async def run() -> Stage:
        stage = Stage(str(directory))
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: stage.complaints.append(context))
        application = Application(stage.api, has_names=True)
        own = application._answer
        application._answer = (  # type: ignore[method-assign]
            lambda request, head: stage.handle(request, head) if stage.handler else own(request, head)
        )
        server = HttpServer(application.handle, address=UnixAddress(stage.path), cancels=True)
        await server.start()
        try:
            async with asyncio.timeout(10):
                await play(stage)
        finally:
            for client in stage.clients:
                client.close()
            await server.close()
            stage.threads.close()
        return stage

    return asyncio.run(run())


async def received(client: socket.socket, until: bytes = b"") -> bytes:
    data = b""
    while (part := await asyncio.get_running_loop().sock_recv(client, 1 << 16)) and (data := data + part):
        if until and until in data:
            break
    return data


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_a_listener_that_goes_away_while_it_is_told_is_no_error(tmp_path, capfd, caplog) -> None:
    async def play(stage: Stage) -> None:
        client = stage.ask("GET /events")
        assert b"200 OK" in await received(client, b"\r\n\r\n")
        client.close()
        for number in range(3):
            stage.events.tell("container", "start", str(number))
        await until(lambda: not stage.events._listeners)
        await asyncio.sleep(0)

    stage = played(tmp_path, play)
    gc.collect()
    assert stage.complaints == [] and caplog.text == "" and capfd.readouterr().err == ""


@pytest.mark.parametrize("failure", [Conflict("no more of it"), RuntimeError("a mistake")])
def test_a_failure_in_the_midst_of_a_body_cuts_the_connection(tmp_path, capfd, failure: Exception) -> None:
    async def fail(exchange: Exchange) -> Any:
        response = await exchange.begin("text/plain")
        await response.write(b"the beginning")
        raise failure

    async def play(stage: Stage) -> None:
        stage.handler = fail
        answer = b""
        try:
            client = stage.ask("GET /")
            answer = await received(client)
        except ConnectionResetError:
            pass
        client.close()
        assert answer.count(b"HTTP/1.1") == 1 and not answer.endswith(b"0\r\n\r\n")

    stage = played(tmp_path, play)
    assert stage.complaints == [] and str(failure) in capfd.readouterr().err


def test_who_tells_waits_for_a_slow_client_and_stops_when_it_has_gone(tmp_path) -> None:
    told = 0
    telling_of: list[Tell] = []
    ended = threading.Event()

    def work(telling: Tell) -> None:
        nonlocal told
        telling_of.append(telling)
        try:
            for _ in range(100_000):
                telling(stream="x" * 1000)
                told += 1
        except Cancelled:
            ended.set()
            raise

    async def play(stage: Stage) -> None:
        stage.handler = lambda exchange: tell(exchange, work)
        client = stage.ask("GET /", buffer=1 << 12)
        await received(client, b"\r\n\r\n")
        turns = 0
        while turns < 50:  # it waits though the loop has had its turns
            await asyncio.sleep(0)
            turns = turns + 1 if telling_of[0]._waiting == _MOST_WAITING else 0
        assert told < 5000
        client.close()
        await until(ended.is_set)

    assert played(tmp_path, play).complaints == []


def test_a_listener_that_falls_behind_is_sent_away() -> None:
    async def play() -> None:
        listener, events = Listener(), Events()
        events._listeners.add(listener)
        for number in range(5000):
            events.tell("image", "pull", str(number))
        assert not events._listeners
        heard = [event async for event in _all(listener)]
        assert len(heard) == 4096 and heard[0].actor == "0"

    async def _all(listener: Listener) -> Any:
        while (event := await listener.next()) is not None:
            yield event

    asyncio.run(play())


def test_a_character_that_is_cut_between_two_pieces_of_output_is_one() -> None:
    told: list[str] = []
    words = BuildWords(lambda **message: told.append(message["stream"]), is_quiet=False)  # type: ignore[arg-type]
    one, other = (Vertex(Scratch(), (), str(number)) for number in range(2))
    words.output(one, "ä".encode()[:1])
    words.output(other, "ß".encode()[:1])
    words.output(one, "ä".encode()[1:])
    words.output(other, "ß".encode()[1:] + b"\xe2")
    words.done(one)
    words.failed(other, Conflict(""))
    assert told == ["ä", "ß", "\N{REPLACEMENT CHARACTER}"]


def test_what_is_made_of_a_body_is_undone_when_the_client_has_gone(tmp_path) -> None:
    undone = threading.Event()
    made = threading.Event()

    def work(stream: Any) -> str:
        assert stream.read(4) == b"body"
        made.set()
        return "made"

    async def play(stage: Stage) -> None:
        stage.handler = lambda exchange: with_body(
            exchange, work, lambda what: undone.set() if what == "made" else None
        )
        client = stage.ask("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nbody\r\nX: ")
        await until(made.is_set)
        client.close()
        await until(undone.is_set)

    assert played(tmp_path, play).complaints == []


def test_a_body_that_is_cut_off_does_not_just_end(tmp_path) -> None:
    failures: list[Exception] = []

    def work(stream: io.BufferedReader) -> bytes:
        try:
            return stream.read()
        except Unavailable as error:
            failures.append(error)
            raise

    async def play(stage: Stage) -> None:
        stage.handler = lambda exchange: with_body(exchange, work)
        client = stage.ask("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nbody\r\nX: ")
        await asyncio.sleep(0.01)
        client.close()
        await until(lambda: failures)

    before = len(os.listdir("/proc/self/fd"))
    assert played(tmp_path, play).complaints == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_frame_whose_sender_is_cancelled_is_sent_whole() -> None:
    async def play() -> None:
        ours, theirs = socket.socketpair()
        monitor = Monitor(frames.Connection(ours))
        sending = asyncio.create_task(monitor.send(frames.INPUT, bytes(1 << 20)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        second = asyncio.create_task(monitor.send(frames.INPUT_END))
        theirs.setblocking(False)
        decoder, got = frames.Decoder(), []
        while len(got) < 2:
            got += decoder.feed(await asyncio.get_running_loop().sock_recv(theirs, 1 << 16))
        assert await second
        assert [(frame.kind, len(frame.content)) for frame in got] == [(frames.INPUT, 1 << 20), (frames.INPUT_END, 0)]
        monitor.close()
        theirs.close()

    asyncio.run(play())
