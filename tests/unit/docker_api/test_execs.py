"""Further processes in containers, with a socket in place of a process: descriptors, ends, clients that leave."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from estiba.docker_api.entering import Entered
from estiba.docker_api.events import Events
from estiba.docker_api.execs import Exec, Execs, Plan
from estiba.docker_api.threads import Threads
from estiba.engine.exec_options import ExecOptions
from estiba.errors import CommandFailed
from estiba.web.upgrade import StreamClosed


class Record:
    """What an exec needs of a container."""

    id, name, image = "c" * 64, "box", "busybox"

    def parsed_process(self) -> Any:
        class Process:
            labels = (("a", "b"),)

        return Process


class Client:
    """A stream that says what it is told to say."""

    def __init__(self) -> None:
        self.typed: asyncio.Queue[bytes] = asyncio.Queue()
        self.got = bytearray()
        self.is_lost = False

    async def read(self) -> bytes:
        return await self.typed.get()

    async def write(self, data: bytes) -> None:
        if self.is_lost:
            raise StreamClosed("gone")
        self.got += data


class Process:
    """What `enter` starts: it holds its streams as a container's process does."""

    def __init__(self) -> None:
        self.streams: list[int] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.is_starting = threading.Event()
        self.failure: Exception | None = None
        self.end, self._told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def enter(self, record: Any, options: ExecOptions, *, streams: tuple[int, int, int] | None) -> Entered:
        self.is_starting.set()
        self.may_start.wait(5)
        if self.failure is not None:
            raise self.failure
        self.streams = [os.dup(number) for number in streams or ()]
        return Entered(77, -1, self._told)

    def close(self) -> None:
        self.end.close()
        self._told.close()

    def exits(self, code: int) -> None:
        for number in self.streams:
            os.close(number)
        self.end.send(f"E{code}".encode())
        self.end.close()


class Stage:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.threads, self.events = Threads(), Events()
        self.execs = Execs(process.enter, self.threads, self.events)  # type: ignore[arg-type]
        self.client = Client()

    def made(self, **options: Any) -> Exec:
        plan = Plan(ExecOptions(("true",), **options), stdout=True, stderr=True, detach_keys=b"\x10\x11")
        return self.execs.make(Record.id, plan)

    async def attached(self, asked: Exec) -> None:
        await self.execs.attached(asked, Record(), self.client)  # type: ignore[arg-type]

    def told(self) -> list[str]:
        return [event.action for event in self.events.since(0)]


def played(play: Callable[[Stage], Coroutine[Any, Any, None]], process: Process | None = None) -> None:
    async def run() -> None:
        stage = Stage(process or Process())
        async with asyncio.timeout(10):
            try:
                await play(stage)
            finally:
                stage.process.close()
        stage.execs.close()
        stage.threads.close()

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_output_comes_as_frames_and_the_end_with_its_code() -> None:
    async def play(stage: Stage) -> None:
        asked = stage.made()
        living = asyncio.create_task(stage.attached(asked))
        await until(lambda: stage.process.streams)
        os.write(stage.process.streams[1], b"out")
        os.write(stage.process.streams[2], b"err")
        stage.process.exits(3)
        await living
        assert b"\x01\0\0\0\0\0\0\x03out" in stage.client.got and b"\x02\0\0\0\0\0\0\x03err" in stage.client.got
        assert asked.exit_code == 3 and not asked.is_running
        (died,) = stage.events.since(0)
        assert died.action == "exec_die"
        assert died.attributes == {"a": "b", "image": "busybox", "name": "box", "execID": asked.id, "exitCode": "3"}

    played(play)


@pytest.mark.parametrize("failure", [CommandFailed("no such file", exit_code=127), OSError(24, "too many")])
def test_an_exec_that_fails_leaves_no_descriptor_open(failure: Exception) -> None:
    async def play(stage: Stage) -> None:
        stage.process.failure = failure
        await _fail(stage, failure)
        before = descriptors()
        for _ in range(5):
            await _fail(stage, failure)
        assert descriptors() == before
        assert stage.told() == []

    played(play)


async def _fail(stage: Stage, failure: Exception) -> None:
    asked = stage.made(interactive=True)
    if isinstance(failure, OSError):
        with pytest.raises(OSError, match="too many"):
            await stage.attached(asked)
    else:
        await stage.attached(asked)
        assert asked.exit_code == 127


def test_an_exec_whose_client_goes_away_before_it_has_begun_gets_its_own_streams_and_is_watched() -> None:
    async def play(stage: Stage) -> None:
        before = descriptors()
        stage.process.may_start.clear()
        asked = stage.made(interactive=True)
        living = asyncio.create_task(stage.attached(asked))
        await until(stage.process.is_starting.is_set)
        stage.client.is_lost = True
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]  # numbers that are free would be taken
        stage.process.may_start.set()
        await until(lambda: asked.is_running)
        stdin, stdout, stderr = stage.process.streams
        assert [os.fstat(each).st_mode >> 12 for each in (stdin, stdout, stderr)] == [1, 1, 1]  # pipes
        assert os.read(stdin, 1) == b""
        assert os.write(stdout, b"nobody reads") == 12
        stage.process.exits(4)
        await until(lambda: asked.exit_code == 4 and asked.running is None)
        for number in taken:
            os.close(number)
        assert stage.told() == ["exec_die"]
        assert descriptors() == before - 2  # the ends of the process's own socket

    played(play)


@pytest.mark.parametrize("how", ["keys", "lost", "cancelled"])
def test_an_exec_whose_client_leaves_goes_on(how: str) -> None:
    async def play(stage: Stage) -> None:
        asked = stage.made(interactive=True)
        living = asyncio.create_task(stage.attached(asked))
        await until(lambda: stage.process.streams and asked.is_running)
        if how == "keys":
            stage.client.typed.put_nowait(b"a\x10\x11")
            await living
        elif how == "lost":
            stage.client.is_lost = True
            stage.client.typed.put_nowait(b"")
            await living
        else:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
        await until(lambda: stage.told() == ["exec_detach"])
        assert asked.is_running and asked.exit_code is None
        written = 0
        while written < 1 << 18:  # more than a pipe holds: somebody takes it
            written += os.write(stage.process.streams[1], bytes(4096))
            await asyncio.sleep(0)
        stage.process.exits(0)
        await until(lambda: stage.told() == ["exec_detach", "exec_die"])
        assert asked.exit_code == 0

    played(play)


def test_a_detached_exec_has_its_end_told() -> None:
    async def play(stage: Stage) -> None:
        asked = stage.made()
        await stage.execs.detached(asked, Record())  # type: ignore[arg-type]
        assert asked.is_running and asked.pid == 77 and stage.told() == []
        stage.process.exits(5)
        await until(lambda: stage.told() == ["exec_die"])
        assert asked.to_json()["ExitCode"] == 5

    played(play)
