"""Asking a new release whether it answers."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

_PATIENCE = 5.0


def tcp_problem(address: str, port: int) -> str:
    """Why `port` takes no connection; "" where it does."""
    try:
        socket.create_connection((address, port), timeout=_PATIENCE).close()
    except OSError as error:
        return f"port {port}: {error.strerror or error}"
    return ""


def http_problem(url: str) -> str:
    """Why a GET of `url` is not answered with a status below 400; "" where it is. A redirection is an answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=_PATIENCE)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", target, headers={"User-Agent": "estiba", "Connection": "close"})
        status = connection.getresponse().status
    except OSError as error:
        return f"{url}: {error.strerror or error}"
    except http.client.HTTPException as error:
        return f"{url}: it does not speak HTTP: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if status < 400 else f"{url} answered {status}"
