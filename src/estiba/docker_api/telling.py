"""Work in a thread that tells how it goes: each word a line of JSON on the answer, as pull, push, load and build do.

A failure before the first word is an error with its status; later it is the last line, as the status has been sent.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from estiba.docker_api.exchange import Exchange
from estiba.docker_api.problems import problem_of
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation
from estiba.oci.digest import Digest

Message = Mapping[str, object]

_SELDOM = 0.1
_MOST_WAITING = 64


class Tell:
    """Called in threads. A client that is behind holds the work up, so that what waits stays small.

    When the client has gone, `cancellation` is set, and telling raises Cancelled.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._room = threading.Condition()
        self._waiting = 0
        self.cancellation = Cancellation()

    def __call__(self, **message: object) -> None:
        with self._room:
            self._room.wait_for(lambda: self._waiting < _MOST_WAITING or self.cancellation.is_set)
            self.cancellation.raise_if_set()
            self._waiting += 1
        self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    # On the loop

    async def next(self) -> Message | None:
        """What is to be told next, None at the end."""
        message = await self._queue.get()
        with self._room:
            self._waiting -= 1
            self._room.notify()
        return message

    def end(self, _future: object) -> None:
        self._queue.put_nowait(None)

    def give_up(self) -> None:
        """Nobody listens any more."""
        self.cancellation.set()
        with self._room:
            self._room.notify_all()


def _nothing() -> None: ...


async def tell(
    exchange: Exchange, work: Callable[[Tell], None], done: Callable[[], None] = _nothing
) -> web.StreamResponse:
    """Run `work` and send what it tells. `done` is called on the loop once it has succeeded, whoever listens then."""
    telling = Tell()
    future = exchange.api.threads.begin(work, telling)
    future.add_done_callback(telling.end)
    future.add_done_callback(lambda _: done() if _has_succeeded(future) else None)
    response: web.StreamResponse | None = None
    try:
        while (message := await telling.next()) is not None:
            response = response or await exchange.begin("application/json")
            await response.write(_line(message))
        error = future.exception()
        if error is not None and (response is None or not isinstance(error, EstibaError)):
            raise error
        response = response or await exchange.begin("application/json")
        if error is not None:
            await response.write(_line(problem_of(error).to_json()))
        await response.write_eof()
        return response
    except (asyncio.CancelledError, ConnectionError):
        telling.give_up()
        raise


async def tell_problem(exchange: Exchange, error: EstibaError) -> web.StreamResponse:
    """An answer that has begun well and is an error after all: clients look there for what is wrong with an archive."""
    response = await exchange.begin("application/json")
    await response.write(_line(problem_of(error).to_json()))
    await response.write_eof()
    return response


def _has_succeeded(future: asyncio.Future[None]) -> bool:
    return not future.cancelled() and future.exception() is None


def _line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\r\n"


class TransferWords:
    """The progress of a pull or a push in Docker's lines. Bytes are told a few times a second for each blob."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._last: dict[str, tuple[str, float]] = {}

    def line(self, text: str) -> None:
        head, colon, rest = text.partition(": ")
        if colon and rest.startswith("Pulling from "):
            self._tell(status=rest, id=head)
        else:
            self._tell(status=text)

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        now = time.monotonic()
        with self._lock:
            before, when = self._last.get(digest.hex, ("", 0.0))
            if before == status and now - when < _SELDOM and done < total:
                return
            self._last[digest.hex] = (status, now)
        if total:
            detail = {"current": done, "total": total}
            bar = f"{_amount(done)}/{_amount(total)}"
            self._tell(status=status, progressDetail=detail, progress=bar, id=digest.hex[:12])
        else:
            self._tell(status=status, progressDetail={}, id=digest.hex[:12])


def _amount(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.4g}{unit}"
        value /= 1000
    return f"{value:.4g}GB"
