"""What a handler is given, and the answers that it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from estiba.docker_api.api import Api
from estiba.docker_api.arguments import is_true
from estiba.docker_api.versions import Version
from estiba.errors import InvalidInput
from estiba.values import NamedTuple
from estiba.web.bodies import read_all
from estiba.web.upgrade import RawStream, take_over

_LONGEST = 16 << 20


class Head:
    """Whether the head of the answer is on its way: there is no second one, and a failure can only cut what follows."""

    def __init__(self) -> None:
        self.has_gone = False


class Exchange(NamedTuple):
    """`parts` are the variable parts of the path."""

    api: Api
    request: web.BaseRequest
    version: Version
    parts: Mapping[str, str]
    head: Head

    def text(self, name: str, default: str = "") -> str:
        """A part of the query."""
        return self.request.query.get(name, default)

    def texts(self, name: str) -> list[str]:
        return list(self.request.query.getall(name, []))

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.request.query.get(name)
        return default if value is None else is_true(value)

    async def begin(self, kind: str, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
        """An answer whose end nobody knows yet; its head goes with the first bytes, or by `send_head`."""
        response = web.StreamResponse(headers={"Content-Type": kind, **(headers or {})})
        self.head.has_gone = True
        await response.prepare(self.request)
        return response

    def take_over(self, kind: str) -> RawStream:
        """The connection as a raw stream.

        Raises:
            StreamClosed: the client has gone already.
        """
        self.head.has_gone = True
        return take_over(self.request, content_type=kind)

    async def body(self) -> dict[str, Any]:
        """The body as a JSON object; none is an empty one.

        Raises:
            InvalidInput: it is none.
        """
        return parsed(await read_all(self.request, limit=_LONGEST))


def parsed(body: bytes) -> dict[str, Any]:
    """A body as a JSON object; as in Go, half a surrogate pair becomes the replacement character.

    Raises:
        InvalidInput: it is none.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
        if b"\\ud" in body.lower():
            halves = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            value = json.loads(halves.decode("utf-16-le", "replace"))
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput("the body is JSON that is nested too deeply") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("the body is no JSON object")
    return value


def answer(value: object, *, status: int = 200) -> web.Response:
    """JSON."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return web.Response(body=body, status=status, content_type="application/json")


def send_head(response: web.StreamResponse) -> None:
    """Have the client see now that it is answered: the HTTP library keeps a head back until the body's first bytes."""
    send = getattr(response._payload_writer, "send_headers", None)
    if send is not None:
        send()


def nothing(status: int = 204) -> web.Response:
    """No body."""
    return web.Response(status=status)
