"""Requests that a browser sends for a web page, which must not own a machine because its browser runs there. Pure.

What only browsers say of themselves (Origin: RFC 6454; Sec-Fetch-Site: W3C Fetch Metadata) tells most of them. Where a
page's own name is made to lead to 127.0.0.1 (DNS rebinding), a browser says neither; but it sends that name as Host
(RFC 9110, 7.2), and nobody else asks for a port of this machine by a name that is not this machine's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_OF_BROWSERS = ("Origin", "Sec-Fetch-Site")


def why_refused(headers: Mapping[str, str], *, has_names: bool) -> str:
    """Why a request is refused, "" for one that is not. `has_names`: whoever asks could only get here by the right name
    or by none (a unix socket, a certificate)."""
    if any(name in headers for name in _OF_BROWSERS):
        return "requests of web pages are refused"
    host = headers.get("Host", "localhost")
    if not has_names and not _is_own(host):
        return f"requests for {host[:200]!r} are refused here: ask for localhost or for the address"
    return ""


def _is_own(host: str) -> bool:
    """Whether a Host is an address or localhost, with a port or without."""
    name, colon, port = host.rpartition(":")
    if not colon or (port and not port.isdigit()):
        name = host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
