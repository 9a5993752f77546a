"""One HTTP session, in which each request takes the way that the routes say: proxy, authorities, client certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from estiba.registry.client.certificates import tls_context
from estiba.registry.client.routes import Routes


class Wire:
    """Sends requests; knows nothing of registries but how hosts are reached."""

    def __init__(self, session: aiohttp.ClientSession, routes: Routes) -> None:
        self.routes = routes
        self._session = session
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | Mapping[str, str] | None = None,
        follows: bool = True,
    ) -> aiohttp.ClientResponse:
        """The answer, which the caller releases. The URL is used as it is written: a signed one is not quoted anew.

        Raises:
            BadCertificate. What the HTTP library raises.
        """
        return await self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=data,
            allow_redirects=follows,
            max_redirects=5,
            proxy=self.routes.proxies.of_url(url),
            ssl=self._context(urlsplit(url).netloc.rpartition("@")[2]) if url.startswith("https:") else True,
        )

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        follows: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same as a context."""
        response = await self.send(method, url, headers=headers, data=data, follows=follows)
        try:
            yield response
        finally:
            response.release()

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            verifies = not self.routes.is_insecure(host)
            self._contexts[host] = tls_context(host, self.routes.certificates, verifies=verifies)
        return self._contexts[host]
