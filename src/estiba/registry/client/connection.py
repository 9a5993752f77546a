"""Requests to one registry: authenticated, and tried again where that can help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from estiba import __version__
from estiba.registry.client.addresses import RegistryAddress
from estiba.registry.client.credentials import CredentialSource
from estiba.registry.client.failures import RegistryUnreachable, from_status
from estiba.registry.client.tokens import Authenticator, Scopes
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
    """A session with a registry. Made by `connect`."""

    def __init__(
        self, session: aiohttp.ClientSession, address: RegistryAddress, tokens: Authenticator, patience: Patience
    ) -> None:
        self._session = session
        self._tokens = tokens
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
            if response.status in expect:
                return response
            text = await _error_text(response)
            if response.status not in _WORTH_ANOTHER_TRY or is_last:
                raise from_status(response.status, text, registry=self.address.registry, what=what)
            await asyncio.sleep(_retry_after(response) or self.patience.wait(attempt))
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
        # The URL is used as the registry wrote it: a signed one must not be quoted anew.
        return await self._session.request(
            method, URL(url, encoded=True), headers=all_headers, data=data, allow_redirects=True, max_redirects=5
        )

    def _resolve(self, target: str) -> str:
        return target if "://" in target else self.address.url + target

    def _is_ours(self, url: str) -> bool:
        """Credentials go to the registry alone, whatever address it gives for an upload."""
        mine, other = urlsplit(self.address.url), urlsplit(url)
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)


@asynccontextmanager
async def connect(
    registry: str, *, credentials: CredentialSource, patience: Patience | None = None, plain_http: bool = False
) -> AsyncIterator[Connection]:
    """A session with `registry`, closed at the end. Nothing is sent yet."""
    async with open_session(agent=f"estiba/{__version__}") as session:
        address = RegistryAddress.of(registry, plain_http=plain_http)
        if not address.is_encrypted and not plain_http and await _wants_tls(session, address):
            address = address.encrypted
        yield Connection(session, address, Authenticator(session, address, credentials), patience or Patience())


async def _wants_tls(session: aiohttp.ClientSession, address: RegistryAddress) -> bool:
    """Whether a loopback registry hangs up on plain HTTP, or says that it wants TLS, as Go's servers do."""
    try:
        async with session.get(f"{address.url}/v2/", allow_redirects=False) as response:
            return response.status == 400 and b"HTTPS" in await response.content.read(_LARGEST_ERROR)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError, ConnectionResetError):
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


def _retry_after(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdigit() else 0.0
