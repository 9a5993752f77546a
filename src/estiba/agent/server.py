"""The agent's HTTP side, which strangers can reach: it takes deliveries, and shows nothing of the builds.

::

    POST /webhooks/github     202 recorded · 200 understood, nothing to do · 400 · 401 · 413
    GET  /healthz             200
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from aiohttp import web

from estiba.agent.config import AgentConfig
from estiba.agent.events import Ignored
from estiba.agent.pipeline import job_for
from estiba.agent.queue import Queue
from estiba.agent.webhooks import github
from estiba.errors import EstibaError, InvalidInput, NotFound
from estiba.web.bodies import BodyCut, BodyTooLarge, read_all

LARGEST_PAYLOAD = 25 * 1024 * 1024
"""GitHub sends at most 25 MB."""

_LARGE = 1024 * 1024
_LARGE_AT_ONCE = 4  # before its signature is checked, a body is a stranger's, and lies in memory
_SECONDS = 10.0  # GitHub waits no longer either


class Unsigned(EstibaError):
    """A delivery that nobody who knows the secret has made."""

    def __init__(self) -> None:
        super().__init__("the signature is missing or wrong, or the repository is not watched")


class AgentServer:
    """Answers requests; what is accepted is on the disk before its answer. `wake` tells the workers."""

    def __init__(self, config: AgentConfig, queue: Queue, *, wake: Callable[[], None]) -> None:
        self._config = config
        self._queue = queue
        self._wake = wake
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; every error that is understood has its status."""
        try:
            return await self._answer(request)
        except Unsigned as error:
            return _json(401, {"error": error.message})
        except NotFound as error:
            return _json(404, {"error": error.message})
        except BodyTooLarge as error:
            return _json(413, {"error": error.message})
        except (InvalidInput, BodyCut) as error:
            return _json(400, {"error": error.message})
        except EstibaError as error:
            return _json(503, {"error": error.message})

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/webhooks/github":
            return await self._github(request) if request.method == "POST" else _not_allowed("POST")
        if request.path == "/healthz":
            return _json(200, {"status": "ok"}) if request.method in ("GET", "HEAD") else _not_allowed("GET, HEAD")
        raise NotFound(f"there is nothing at {request.path}")

    async def _github(self, request: web.BaseRequest) -> web.StreamResponse:
        signature = request.headers.get(github.SIGNATURE, "")
        if not github.may_be_signed(signature):
            raise Unsigned
        body = await self._body(request)
        loop = asyncio.get_running_loop()
        signers = await loop.run_in_executor(None, self._signers, body, signature)
        if not signers:
            raise Unsigned
        delivery = github.read(request.headers, body)
        if delivery.repository and delivery.repository.lower() not in signers:
            raise Unsigned
        job = job_for(github.event(delivery), self._config)
        if isinstance(job, Ignored):
            return _json(200, {"ignored": job.reason})
        accepted = await loop.run_in_executor(None, self._queue.accept, delivery.identifier, job)
        self._wake()
        return _json(202, {"build": accepted.job, "is_new": accepted.is_new})

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The body, which must come in time.

        Raises:
            BodyTooLarge, BodyCut.
        """
        length = request.content_length
        room = self._large if length is None or length > _LARGE else contextlib.nullcontext()
        try:
            async with asyncio.timeout(_SECONDS), room:
                return await read_all(request, limit=LARGEST_PAYLOAD)
        except TimeoutError:
            raise BodyCut(0) from None

    def _signers(self, body: bytes, signature: str) -> frozenset[str]:
        """The repositories (lower case) whose secret has signed: asked of all, so that only then the body is read."""
        return frozenset(
            repository.name.lower()
            for repository in self._config.repositories
            if github.is_signed(body, signature, secret=repository.secret)
        )


def _not_allowed(methods: str) -> web.Response:
    response = _json(405, {"error": f"only {methods} is answered here"})
    response.headers["Allow"] = methods
    return response


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode() + b"\n", content_type="application/json")
