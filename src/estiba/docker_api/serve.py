"""`estiba daemon`: the parts joined, from the first line to the last."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable, Sequence

from estiba.docker_api.api import Api
from estiba.docker_api.application import Application
from estiba.docker_api.backends import Backends
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import NamedTuple
from estiba.web.listen import Address, UnixAddress
from estiba.web.server import HttpServer, run_all_until_signal, tls_context

DEFAULT_PORT = 2375
_PATIENCE = 0.5
_GROUP = "docker"


class Tls(NamedTuple):
    """PEM files; `authority` signs the certificates of the clients that are let in."""

    certificate: str
    key: str
    authority: str


def parse_host(text: str) -> Address | UnixAddress:
    """``unix:///run/estiba.sock`` or ``tcp://127.0.0.1:2375``, as Docker writes them.

    Raises:
        InvalidInput: another form. NotThereYet: fd:// and npipe://.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    if scheme == "unix":
        if not rest.startswith("/"):
            raise InvalidInput(f"--host {text}: the path is not absolute", remedy="Write unix:///run/estiba.sock.")
        return UnixAddress(os.path.normpath(rest), _group())
    if scheme == "tcp":
        rest = rest.rstrip("/")
        return Address.parse(rest if rest.rpartition(":")[1] else f"{rest}:{DEFAULT_PORT}")
    if scheme in ("fd", "npipe", "ssh"):
        raise NotThereYet(f"--host {scheme}:// is not there yet", remedy="There are unix:// and tcp://.")
    raise InvalidInput(f"--host {text}: unknown scheme {scheme!r}", remedy="There are unix:// and tcp://.")


def _group() -> int | None:
    """The group whose members may use the socket, where there is one and we may give it away."""
    import grp

    if os.geteuid() != 0:
        return None
    try:
        return grp.getgrnam(_GROUP).gr_gid
    except KeyError:
        return None


def check_exposure(addresses: Sequence[Address | UnixAddress], tls: Tls | None) -> list[str]:
    """Who may use this API owns the machine: gives warnings.

    Raises:
        InvalidInput: an address that others can reach, without certificates.
    """
    warnings = []
    for address in addresses:
        if isinstance(address, UnixAddress) or tls is not None:
            continue
        if not _is_loopback(address.host):
            raise InvalidInput(
                f"tcp://{address} would let anybody who reaches it take this machine over",
                remedy="Give --tlscacert, --tlscert and --tlskey, or listen on 127.0.0.1 or a unix socket.",
            )
        warnings.append(
            f"tcp://{address}: every user and program of this machine can take it over through this port; "
            "prefer a unix socket"
        )
    return warnings


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    backends: Backends, addresses: Sequence[Address | UnixAddress], tls: Tls | None, *, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets each address once connections are taken."""
    asyncio.run(_serve(backends, addresses, tls, announce))


async def _serve(
    backends: Backends, addresses: Sequence[Address | UnixAddress], tls: Tls | None, announce: Callable[[str], None]
) -> None:
    context = None
    if tls is not None:
        context = tls_context(certificate=tls.certificate, key=tls.key, client_authority=tls.authority)
    api = Api(backends)
    servers = []
    for address in addresses:
        is_unix = isinstance(address, UnixAddress)
        application = Application(api, has_names=is_unix or context is not None)
        servers.append(HttpServer(application.handle, address=address, tls=None if is_unix else context, cancels=True))
    await api.open()
    try:
        await run_all_until_signal(servers, announce=announce, patience=_PATIENCE)
    finally:
        api.close()
