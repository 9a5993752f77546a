"""A server from the first connection to a graceful end.

listening ──SIGTERM, SIGINT──▶ draining: no new connection; requests in flight go on
                                  └── all answered, or `patience` is over ──▶ closed
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from aiohttp import web

from estiba.errors import InvalidInput, PermissionDenied, Unavailable
from estiba.web.listen import Address, UnixAddress, bind_unix

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
    letter now and then: there are only so many descriptors. With `cancels` a handler is cancelled when its client goes
    away, as one wants where answers are without end.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        address: Address | UnixAddress,
        tls: ssl.SSLContext | None = None,
        silence: float = _PATIENCE_WITH_SILENCE,
        cancels: bool = False,
    ) -> None:
        self._handler = handler
        self._tls = tls
        self.address: Address | UnixAddress = address
        self.is_draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # A body keeps the encoding that its sender gave it: digests are of bytes.
        server = web.Server(
            self._serve, access_log=None, auto_decompress=False, keepalive_timeout=silence, handler_cancellation=cancels
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        self._site: web.BaseSite | None = None
        self._file: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        if isinstance(self.address, UnixAddress):
            return f"unix://{self.address}"
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def start(self) -> None:
        """Listen; `address` has the real port afterwards.

        Raises:
            CannotListen: the port is taken, or the host is not one of this machine.
            PermissionDenied: a low port, or a directory of somebody else's.
        """
        await self._runner.setup()
        if isinstance(self.address, UnixAddress):
            bound_socket = bind_unix(self.address)
            found = os.lstat(self.address.path)
            self._file = (found.st_dev, found.st_ino)
            self._site = web.SockSite(self._runner, bound_socket, backlog=1024)
            await self._site.start()
            return
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
        """Cut what is still open; a unix socket's file goes, unless it is another's by now."""
        await self._runner.cleanup()
        if isinstance(self.address, UnixAddress) and self._file is not None:
            try:
                found = os.lstat(self.address.path)
                if (found.st_dev, found.st_ino) == self._file:
                    os.unlink(self.address.path)
            except FileNotFoundError:
                pass

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
    await run_all_until_signal([server], announce=announce, patience=patience)


async def run_all_until_signal(
    servers: Sequence[HttpServer], *, announce: Callable[[str], None], patience: float
) -> None:
    """The same for several servers, which begin and end together."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        for server in servers:
            await server.start()
        for server in servers:
            announce(server.url)
        await stop.wait()
        await _first_of(_drain(servers, patience), hurry.wait())
    finally:
        for server in servers:
            await server.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _drain(servers: Sequence[HttpServer], patience: float) -> None:
    await asyncio.gather(*(server.drain(patience=patience) for server in servers))


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def tls_context(*, certificate: str, key: str, client_authority: str = "") -> ssl.SSLContext:
    """A server's TLS context from PEM files. With `client_authority` only clients whose certificate it signed get in.

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
    if client_authority:
        try:
            context.load_verify_locations(client_authority)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(
                f"cannot use {client_authority}: {error.strerror or error}",
                remedy="Give the PEM file of the authority that signs the clients' certificates.",
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
