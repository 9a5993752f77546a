"""A file from a URL, written and hashed as it comes, for one who does not speak asyncio.

Redirects are followed here, so that each step of the way is looked at: only to http and https, never from https to http
unless the caller knows the digest, and the user and password of an address go to no other host.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp

from estiba.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from estiba.web.client import CONNECTION_ERRORS, open_session, reason
from estiba.web.proxies import Proxies

_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_RESERVE = 64 << 20
"""Bytes of the disk that a download leaves alone: an endless one ends before the disk is full."""
_PART = 1 << 20


class Request(NamedTuple):
    """What is asked for. `headers` may make it conditional; `algorithm` is that of the digest."""

    url: str
    headers: Mapping[str, str] = {}
    algorithm: str = "sha256"
    may_lose_tls: bool = False


class Downloaded(NamedTuple):
    """What came. With `is_unchanged` nothing did, for the headers of the request named what is there.

    `last_modified` is in Unix seconds, -1 where the server does not say; `date` is when it answered.
    """

    is_unchanged: bool
    digest: str = ""
    size: int = 0
    etag: str = ""
    last_modified: int = -1
    date: int = -1


def download(
    request: Request,
    into: int,
    *,
    proxies: Proxies,
    agent: str,
    on_stop: Callable[[Callable[[], None]], Callable[[], None]],
) -> Downloaded | None:
    """Write what `request` gives to the descriptor `into`. None: it was stopped.

    `on_stop` registers what ends the transfer, from any thread, and gives back what unregisters it.

    Raises:
        NotFound: the server does not have it. PermissionDenied: it wants to know who asks. InvalidInput: the address
            makes no sense, or leads where it must not. Unavailable: it cannot be reached, the transfer was cut, or the
            disk has no room.
    """
    shown = _shown(request.url)
    try:
        return asyncio.run(_stoppable(request, into, proxies, agent, on_stop))
    except asyncio.CancelledError:
        return None
    except (aiohttp.InvalidURL, ValueError):
        raise InvalidInput(f"{shown} is no address") from None
    except CONNECTION_ERRORS as error:
        raise Unavailable(
            f"cannot fetch {shown}: {reason(error)}", remedy="Check the address and the network."
        ) from error


async def _stoppable(
    request: Request,
    into: int,
    proxies: Proxies,
    agent: str,
    on_stop: Callable[[Callable[[], None]], Callable[[], None]],
) -> Downloaded:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(_download(request, into, proxies, agent))

    def stop() -> None:
        try:
            loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:
            return  # it has just ended, and its loop with it

    forget = on_stop(stop)
    try:
        return await task
    finally:
        forget()


async def _download(request: Request, into: int, proxies: Proxies, agent: str) -> Downloaded:
    url = request.url
    async with open_session(agent=agent) as session:
        for _ in range(_MOST_REDIRECTS):
            async with session.get(
                url, proxy=proxies.of_url(url), headers=request.headers, allow_redirects=False
            ) as response:
                if response.status not in _REDIRECTS:
                    return await _body(request, response, into)
                url = _next(request, url, response.headers.get("Location", ""))
    raise Unavailable(f"{_shown(request.url)} leads in a circle: more than {_MOST_REDIRECTS} redirects")


def _next(request: Request, url: str, location: str) -> str:
    """Where a redirect leads."""
    target = urljoin(url, location)
    scheme = urlsplit(target).scheme.lower()
    remedy = "If it is right, give that address itself."
    if not location or scheme not in ("http", "https"):
        raise InvalidInput(f"{_shown(request.url)} leads to {_shown(location)!r}, which is no web address")
    if scheme == "http" and urlsplit(url).scheme.lower() == "https" and not request.may_lose_tls:
        raise InvalidInput(f"{_shown(request.url)} leads to {_shown(target)}, which is not encrypted", remedy=remedy)
    return target


async def _body(request: Request, response: aiohttp.ClientResponse, into: int) -> Downloaded:
    _check(request, response)
    if response.status == 304:
        return Downloaded(is_unchanged=True)
    headers = response.headers
    length = response.content_length
    if length is not None:
        _check_room(request, into, length)
    digest, size = hashlib.new(request.algorithm), 0
    async for piece in response.content.iter_chunked(_PART):
        _check_room(request, into, len(piece))
        digest.update(piece)
        size += len(piece)
        _write(into, piece)
    return Downloaded(
        is_unchanged=False,
        digest=f"{request.algorithm}:{digest.hexdigest()}",
        size=size,
        etag=headers.get("ETag", ""),
        last_modified=_seconds(headers.get("Last-Modified", "")),
        date=_seconds(headers.get("Date", "")),
    )


def _check(request: Request, response: aiohttp.ClientResponse) -> None:
    status, shown = response.status, _shown(request.url)
    if status == 200 or (status == 304 and request.headers):
        return
    if status in (404, 410):
        raise NotFound(f"there is no {shown}: the server answered {status}", remedy="Check the address.")
    if status in (401, 403):
        raise PermissionDenied(f"{shown} is not for everybody: the server answered {status}")
    raise Unavailable(f"cannot fetch {shown}: the server answered {status} {response.reason or ''}".rstrip())


def _check_room(request: Request, into: int, size: int) -> None:
    disk = os.fstatvfs(into)
    if disk.f_bavail * disk.f_frsize < size + _RESERVE:
        raise Unavailable(
            f"the disk of the store has no room for {_shown(request.url)}",
            remedy="Free some: `estiba gc` removes what nothing needs, `estiba df` shows what takes how much.",
        )


def _write(into: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(into, view) :]


def _seconds(date: str) -> int:
    """A date of HTTP in Unix seconds; -1 for none."""
    try:
        return max(-1, int(parsedate_to_datetime(date).timestamp())) if date else -1
    except (ValueError, OverflowError):
        return -1


def _shown(url: str) -> str:
    """An address without what follows its question mark, and without a password in it: both may be secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
