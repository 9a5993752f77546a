"""Which proxy a request goes through, decided from the variables that curl and Go's programs read. Pure.

`HTTP_PROXY` and `HTTPS_PROXY` by the scheme of the request, `NO_PROXY` for exceptions; lower-case names win.
An exception is a host (and all below it), ``.domain``, an address, or a network (``10.0.0.0/8``), each with an optional
port, or ``*``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from estiba.errors import InvalidInput

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxies(NamedTuple):
    """Empty: there is none. `exceptions` are the parts of NO_PROXY."""

    http: str = ""
    https: str = ""
    exceptions: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Proxies:
        """From environment variables.

        Raises:
            InvalidInput: a proxy that is no URL of the schemes http or https.
        """

        def value(name: str) -> str:
            return (environment.get(name.lower()) or environment.get(name) or "").strip()

        parts = value("NO_PROXY").replace(" ", ",").split(",")
        exceptions = tuple(part.lower() for part in parts if part)
        return cls(_proxy("HTTP_PROXY", value("HTTP_PROXY")), _proxy("HTTPS_PROXY", value("HTTPS_PROXY")), exceptions)

    def of_url(self, url: str) -> str | None:
        """The proxy's URL for a request; None: it goes straight. What is this machine itself is always reached so."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or host == "localhost" or _is_loopback(host):
            return None
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        return None if any(_is_meant(exception, host, port) for exception in self.exceptions) else proxy


NO_PROXIES = Proxies()


def _proxy(name: str, text: str) -> str:
    if not text:
        return ""
    url = text if "://" in text else f"http://{text}"
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise InvalidInput(
            f"{name} is {text!r}, which is no HTTP proxy", remedy=f"Set {name} to http://HOST:PORT, or unset it."
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_meant(exception: str, host: str, port: int) -> bool:
    if exception == "*":
        return True
    name, colon, number = exception.rpartition(":")
    if colon and number.isdigit() and not name.endswith(":") and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        exception = name.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        bare = exception.removeprefix("*").removeprefix(".")
        return host.endswith("." + bare) or (host == bare and not exception.startswith("."))
