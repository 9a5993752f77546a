"""From a request to its answer: the version, the handler, and what went wrong."""

from __future__ import annotations

import asyncio
import sys
import traceback

from aiohttp import ClientPayloadError, web

from estiba.docker_api import versions
from estiba.docker_api.api import Api
from estiba.docker_api.exchange import Exchange, Head, answer
from estiba.docker_api.handlers.table import match
from estiba.docker_api.pages import why_refused
from estiba.docker_api.problems import problem_of
from estiba.errors import EstibaError


class _Cut(web.StreamResponse):
    """No answer: the end of the connection."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self.force_close()
        if request.transport is not None:
            request.transport.abort()

    async def write_eof(self, data: bytes = b"") -> None: ...


class Application:
    """Answers every request; nothing but a cancellation is raised past it. `has_names`: as in `pages`."""

    def __init__(self, api: Api, *, has_names: bool) -> None:
        self._api = api
        self._has_names = has_names
        self._headers = {
            "Server": f"Estiba/{api.backends.facts.version} (linux)",
            "Api-Version": str(versions.NEWEST),
            "Docker-Experimental": "false",
            "Ostype": "linux",
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        head = Head()
        try:
            response = await self._answer(request, head)
        except EstibaError as error:
            problem = problem_of(error)
            if head.has_gone:
                print(f"{request.method} {request.path}: {problem.message}", file=sys.stderr, flush=True)
            response = answer({"message": problem.message}, status=problem.status)
        except asyncio.CancelledError:
            raise
        except (ConnectionError, ClientPayloadError):
            return _Cut()  # the client has gone: nobody is to be told, and it is no failure
        except Exception as error:  # noqa: BLE001 - the edge: the client gets an answer, the log the reason
            traceback.print_exception(error, file=sys.stderr)
            response = answer({"message": f"{type(error).__name__}: {error}"}, status=500)
        if head.has_gone and not response.prepared:
            return _Cut()  # the head has gone: that the body has no end tells that it failed
        if not response.prepared:
            for name, value in self._headers.items():
                response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: web.BaseRequest, head: Head) -> web.StreamResponse:
        if why := why_refused(request.headers, has_names=self._has_names):
            return answer({"message": why}, status=403)
        version, path = versions.split(request.path)
        found = match(request.method, path)
        if found is None:
            return answer({"message": "page not found"}, status=404)
        if found.handler is None:
            return answer({"message": f"{request.method} is not allowed here"}, status=405)
        return await found.handler(Exchange(self._api, request, version, found.parts, head))
