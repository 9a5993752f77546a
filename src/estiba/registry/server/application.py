"""From a request to its answer: the endpoint, the one who asks, the handler, and what went wrong."""

from __future__ import annotations

import traceback

from aiohttp import web

from estiba.registry.protocol import errors
from estiba.registry.protocol.endpoints import match
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.server.access import Access
from estiba.registry.server.answers import problem
from estiba.registry.server.handlers.exchange import Exchange
from estiba.registry.server.handlers.table import HANDLERS
from estiba.registry.server.log import Log
from estiba.registry.server.registry import Registry
from estiba.web.bodies import BodyCut


class Application:
    """Answers every request; nothing is raised past it."""

    def __init__(self, registry: Registry, *, access: Access, log: Log) -> None:
        self._registry = registry
        self._access = access
        self._log = log

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ProtocolError as error:
            return problem(error)
        except BodyCut as error:
            self._log.info("upload cut", method=request.method, path=request.path, received=error.received)
            return problem(error)
        except Exception as error:  # noqa: BLE001 - the edge: whatever happens, the client gets an answer and the log the reason
            response = problem(error)
            if response.status >= 500:
                self._tell(request, response.status, error)
            return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        found = match(request.path)
        if found is None:
            raise ProtocolError(errors.UNSUPPORTED, f"there is nothing at {request.path}", status=404)
        user = await self._access.user(request)
        handler = HANDLERS.get((found.endpoint.name, request.method))
        if handler is None:
            allowed = ", ".join(found.endpoint.methods)
            raise ProtocolError(
                errors.UNSUPPORTED, f"{request.method} is not allowed here", headers=(("Allow", allowed),)
            )
        return await handler(Exchange(self._registry, request, found.name, found.argument, user))

    def _tell(self, request: web.BaseRequest, status: int, error: Exception) -> None:
        self._log.error(
            "request failed",
            method=request.method,
            path=request.path,
            status=status,
            error=f"{type(error).__name__}: {error}",
            where=traceback.format_exception(error)[-2].strip() if error.__traceback__ else "",
        )
