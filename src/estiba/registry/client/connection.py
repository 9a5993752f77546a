"""Requests to one registry: authenticated, and tried again where that can help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from estiba import __version__
from estiba.registry.client.addresses import RegistryAddress
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.failures import RateLimited, RegistryUnreachable, from_status
from estiba.registry.client.limits import rate_limit, retry_after
from estiba.registry.client.routes import DIRECT, Routes
from estiba.registry.client.tokens import Authenticator, Scopes
from estiba.registry.client.wire import Wire
from estiba.web.client import CONNECTION_ERRORS, is_hopeless, open_session, reason

_LARGEST_ERROR = 64 * 1024
_LONGEST_WAIT = 60.0
_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 502, 503, 504})

Body = Callable[[], AsyncIterator[bytes]] | bytes | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, and the wait (s) before the second time, which doubles each time."""

    attempts: int = 5
    first_wait: float = 0.2

    def wait(self, attempt: int) -> float:
        """Before attempt `attempt` (from 1)."""
        return float(min(self.first_wait * 2 ** (attempt - 1), _LONGEST_WAIT))


class Connection:
    """A session with a registry. Made by `connect`.

    `rate_limit` is what the registry last said of how much more it will answer, in words; "" where it said nothing.
    """

    def __init__(self, wire: Wire, address: RegistryAddress, tokens: Authenticator, patience: Patience) -> None:
        self._wire = wire
        self._tokens = tokens
        self.rate_limit = ""
        self.address = address
        self.patience = patience

    @asynccontextmanager
    async def request(
        self,
        method: str,
        target: str,
        *,
        what: str,
        scopes: Scopes,
        expect: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        attempts: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its answer, whose body the caller reads within the context.

        `target` is a path, or a URL that the registry gave. `what` goes into errors. A body that is a function is made
        anew for each attempt.

        Raises:
            RegistryUnreachable, AccessDenied, NotInRegistry, Refused, RegistryFailed: an answer not in `expect`.
        """
        url = self._resolve(target)
        response = await self._send(method, url, what, scopes, expect, headers or {}, body, attempts)
        try:
            yield response
        finally:
            response.release()

    async def _send(
        self,
        method: str,
        url: str,
        what: str,
        scopes: Scopes,
        expect: tuple[int, ...],
        headers: Mapping[str, str],
        body: Body,
        attempts: int | None,
    ) -> aiohttp.ClientResponse:
        total = attempts or self.patience.attempts
        for attempt in range(1, total + 1):
            is_last = attempt == total
            try:
                response = await self._authenticated(method, url, scopes, headers, body)
            except CONNECTION_ERRORS as error:
                if is_last or is_hopeless(error):
                    raise RegistryUnreachable(self.address.url, reason(error)) from error
                await asyncio.sleep(self.patience.wait(attempt))
                continue
            self.rate_limit = rate_limit(response.headers) or self.rate_limit
            if response.status in expect:
                return response
            text = await _error_text(response)
            wait = retry_after(response.headers, now=time.time())
            if wait > _LONGEST_WAIT:
                raise RateLimited(self.address.registry, what, wait, self.rate_limit)
            if response.status not in _WORTH_ANOTHER_TRY or is_last:
                raise from_status(response.status, text, registry=self.address.registry, what=what)
            await asyncio.sleep(wait or self.patience.wait(attempt))
        raise AssertionError("unreachable")

    async def _authenticated(
        self, method: str, url: str, scopes: Scopes, headers: Mapping[str, str], body: Body
    ) -> aiohttp.ClientResponse:
        """One attempt; a 401 is answered once, with a new token."""
        trusted = self._is_ours(url)
        header = self._tokens.header(scopes) if trusted else ""
        response = await self._once(method, url, headers, body, header)
        challenge = ", ".join(response.headers.getall("WWW-Authenticate", []))
        if response.status != 401 or not challenge or not trusted:
            return response
        response.release()
        header = await self._tokens.answer(challenge, scopes, refused=header)
        return await self._once(method, url, headers, body, header)

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, header: str
    ) -> aiohttp.ClientResponse:
        all_headers = {**headers, "Authorization": header} if header else dict(headers)
        data = body() if callable(body) else body
        return await self._wire.send(method, url, headers=all_headers, data=data)

    def _resolve(self, target: str) -> str:
        return target if "://" in target else self.address.url + target

    def _is_ours(self, url: str) -> bool:
        """Credentials go to the registry alone, whatever address it gives for an upload."""
        mine, other = urlsplit(self.address.url), urlsplit(url)
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)


@asynccontextmanager
async def connect(
    registry: str, *, credentials: CredentialSource, patience: Patience | None = None, routes: Routes = DIRECT
) -> AsyncIterator[Connection]:
    """A session with `registry`, closed at the end. Nothing is sent yet, but to find out whether it speaks TLS."""
    async with open_session(agent=f"estiba/{__version__}") as session:
        wire = Wire(session, routes)
        address = RegistryAddress.of(registry)
        if not address.is_encrypted and await _wants_tls(wire, address):
            address = address.encrypted
        elif address.is_encrypted and routes.is_insecure(registry) and await _lacks_tls(wire, address):
            address = address.plain
        yield Connection(wire, address, Authenticator(wire, address, credentials), patience or Patience())


async def _wants_tls(wire: Wire, address: RegistryAddress) -> bool:
    """Whether a loopback registry hangs up on plain HTTP, or says that it wants TLS, as Go's servers do."""
    try:
        async with wire.request("GET", f"{address.url}/v2/", follows=False) as response:
            return response.status == 400 and b"HTTPS" in await response.content.read(_LARGEST_ERROR)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError, ConnectionResetError):
        return True
    except CONNECTION_ERRORS:
        return False  # the first real request tells what is wrong


async def _lacks_tls(wire: Wire, address: RegistryAddress) -> bool:
    """Whether a registry that may be insecure answers, but not in TLS."""
    try:
        async with wire.request("GET", f"{address.url}/v2/", follows=False):
            return False
    except CONNECTION_ERRORS:
        pass
    try:
        async with wire.request("GET", f"{address.plain.url}/v2/", follows=False):
            return True
    except CONNECTION_ERRORS:
        return False  # the first real request tells what is wrong


async def _error_text(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.read(_LARGEST_ERROR)
    except CONNECTION_ERRORS:
        return b""
    finally:
        response.release()
