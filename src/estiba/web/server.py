"""A server from the first connection to a graceful end.

listening ──SIGTERM, SIGINT──▶ draining: no new connection; requests in flight go on
                                  └── all answered, or `patience` is over ──▶ closed
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import web

from estiba.errors import InvalidInput, PermissionDenied, Unavailable
from estiba.web.listen import Address

_PATIENCE_WITH_SILENCE = 75.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class CannotListen(Unavailable):
    def __init__(self, address: Address, reason: str) -> None:
        super().__init__(
            f"cannot listen on {address}: {reason}", remedy="Choose another --listen address; port 0 is any free one."
        )


class HttpServer:
    """Serves `handler` on one address. `start`, then `drain`, then `close`.

    A connection on which no whole request head has come for `silence` seconds is cut, whether it said nothing or says a
    letter now and then: there are only so many descriptors.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        address: Address,
        tls: ssl.SSLContext | None = None,
        silence: float = _PATIENCE_WITH_SILENCE,
    ) -> None:
        self._handler = handler
        self._tls = tls
        self.address = address
        self.is_draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # A body keeps the encoding that its sender gave it: digests are of bytes.
        server = web.Server(self._serve, access_log=None, auto_decompress=False, keepalive_timeout=silence)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def start(self) -> None:
        """Listen; `address` has the real port afterwards.

        Raises:
            CannotListen: the port is taken, or the host is not one of this machine.
            PermissionDenied: a low port.
        """
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self.address.host, self.address.port, ssl_context=self._tls, backlog=1024, reuse_address=True
        )
        try:
            await site.start()
        except PermissionError as error:
            raise PermissionDenied(
                f"cannot listen on {self.address}: {_reason(error)}",
                remedy="Ports below 1024 are root's: choose a higher one, or run it as root.",
            ) from error
        except OSError as error:
            raise CannotListen(self.address, _reason(error)) from error
        self._site = site
        bound = self._runner.addresses[0]
        self.address = Address(self.address.host, int(bound[1]))

    async def drain(self, *, patience: float) -> bool:
        """Take no new connection and wait until every request is answered; False where `patience` (s) was too short."""
        self.is_draining = True
        if self._site is not None:
            await self._site.stop()
            self._site = None
        try:
            await asyncio.wait_for(self._idle.wait(), patience)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cut what is still open."""
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._in_flight += 1
        self._idle.clear()
        try:
            response = await self._handler(request)
            if self.is_draining:
                response.force_close()
            return response
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                # The answer is written after the handler returns: give the loop a turn before it counts as sent.
                asyncio.get_running_loop().call_later(0.05, self._set_idle)

    def _set_idle(self) -> None:
        if not self._in_flight:
            self._idle.set()


def _reason(error: OSError) -> str:
    """The kernel's word: asyncio wraps it in a sentence of its own."""
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return text[:1].lower() + text[1:]


async def run_until_signal(server: HttpServer, *, announce: Callable[[str], None], patience: float) -> None:
    """Serve until SIGTERM or SIGINT, then drain and close; a second signal ends the patience."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await server.start()
    try:
        announce(server.url)
        await stop.wait()
        await _first_of(server.drain(patience=patience), hurry.wait())
    finally:
        await server.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def tls_context(*, certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS context from PEM files.

    Raises:
        InvalidInput: a file is missing or is no certificate or key, or the two do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"cannot use {certificate} with {key}: {reason}",
            remedy="Give PEM files: the certificate with its chain, and its private key without a passphrase.",
        ) from error
    return context
