"""TLS for one registry: the system's authorities, and those that lie in a directory of the registry's own.

The layout is Docker's (``/etc/docker/certs.d``), which podman and skopeo read too:

    DIRECTORY/HOST[:PORT]/*.crt      authorities that are trusted for this registry
                          NAME.cert  a client certificate, and
                          NAME.key   its key
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

from estiba.errors import InvalidInput


class BadCertificate(InvalidInput):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}", remedy="Put a PEM file there, or remove it.")


def tls_context(registry: str, directories: Sequence[str], *, verifies: bool = True) -> ssl.SSLContext:
    """What connections to `registry` are made with. Without `verifies` any certificate will do.

    Raises:
        BadCertificate: a file is no certificate, or a client certificate has no key.
    """
    context = ssl.create_default_context()
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for directory in directories:
        _add(context, f"{directory}/{registry}")
    return context


def _add(context: ssl.SSLContext, directory: str) -> None:
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise BadCertificate(directory, f"cannot be read: {error.strerror}") from error
    for name in names:
        path = f"{directory}/{name}"
        if name.endswith(".crt"):
            _trust(context, path)
        elif name.endswith(".cert"):
            _present(context, path, f"{directory}/{name.removesuffix('.cert')}.key")


def _trust(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise BadCertificate(path, f"is no authority's certificate: {_reason(error)}") from error


def _present(context: ssl.SSLContext, path: str, key: str) -> None:
    if not os.path.exists(key):
        raise BadCertificate(path, f"is a client certificate whose key {key} is missing")
    try:
        context.load_cert_chain(path, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        raise BadCertificate(path, f"is no client certificate that fits {key}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
