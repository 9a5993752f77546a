"""The agent's HTTP side.

::

    POST /webhooks/github     202 recorded · 200 understood, nothing to do · 400 · 401 · 413
    GET  /healthz             200
    GET  /builds              the newest builds, as JSON
    GET  /builds/N            one build
    GET  /builds/N/log        what it said
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable

from aiohttp import web

from estiba.agent.config import AgentConfig
from estiba.agent.events import Ignored
from estiba.agent.pipeline import job_for
from estiba.agent.queue import JobRecord, Queue
from estiba.agent.webhooks import github
from estiba.errors import EstibaError, InvalidInput, NotFound
from estiba.web.bodies import BodyCut, BodyTooLarge, read_all

LARGEST_PAYLOAD = 25 * 1024 * 1024
"""GitHub sends at most 25 MB."""

_BUILD = re.compile(r"/builds/([0-9]{1,18})(/log)?")


class Unsigned(EstibaError):
    """A delivery that nobody who knows the secret has made."""


class AgentServer:
    """Answers requests; what is accepted is on the disk before its answer. `wake` tells the workers."""

    def __init__(self, config: AgentConfig, queue: Queue, *, logs: str, wake: Callable[[], None]) -> None:
        self._config = config
        self._queue = queue
        self._logs = logs
        self._wake = wake

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
            if request.method != "POST":
                return _json(405, {"error": "deliveries are sent with POST"})
            return await self._github(request)
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"error": f"{request.method} is not allowed here"})
        if request.path == "/healthz":
            return _json(200, {"status": "ok"})
        if request.path == "/builds":
            return _json(200, {"builds": [_build(record) for record in self._queue.latest()]})
        found = _BUILD.fullmatch(request.path)
        if found is None:
            raise NotFound(f"there is nothing at {request.path}")
        record = self._queue.get(int(found[1]))
        if found[2]:
            return web.Response(text=self._log(record), content_type="text/plain", charset="utf-8")
        return _json(200, _build(record))

    async def _github(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await read_all(request, limit=LARGEST_PAYLOAD)
        delivery = github.read(request.headers, body)
        repository = self._config.find(delivery.repository)
        # A repository that is not watched is refused as one that is not signed, and as slowly.
        secret = repository.secret if repository else os.urandom(32)
        if not github.is_signed(body, request.headers.get(github.SIGNATURE, ""), secret=secret) or repository is None:
            raise Unsigned("the signature is missing or wrong, or the repository is not watched")
        job = job_for(github.event(delivery), self._config)
        if isinstance(job, Ignored):
            return _json(200, {"ignored": job.reason})
        accept = asyncio.get_running_loop().run_in_executor(None, self._queue.accept, delivery.identifier, job)
        accepted = await accept
        self._wake()
        return _json(202, {"build": accepted.job, "is_new": accepted.is_new})

    def _log(self, record: JobRecord) -> str:
        try:
            with open(f"{self._logs}/{record.id}.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""


def _build(record: JobRecord) -> dict[str, object]:
    return record._asdict()


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode() + b"\n", content_type="application/json")
