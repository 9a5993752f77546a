"""Answers: headers that every one has, and the one mapping of errors to statuses and codes."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from aiohttp import web

from estiba.errors import EstibaError, Unavailable
from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ErrorCode, ProtocolError
from estiba.registry.server.storage.base import DigestMismatch, UnknownBlob, UnknownUpload, UploadTakenOver
from estiba.web.bodies import BodyCut, BodyTooLarge

_ALWAYS = {"Docker-Distribution-Api-Version": "registry/2.0", "Server": "Estiba", "X-Content-Type-Options": "nosniff"}
_FULL = {errno.ENOSPC, errno.EDQUOT}

# The kinds that the layers below raise, the most special first -> what the client is told.
_KINDS: tuple[tuple[type[EstibaError], ErrorCode, int], ...] = (
    (UnknownUpload, errors.BLOB_UPLOAD_UNKNOWN, 404),
    (UnknownBlob, errors.BLOB_UNKNOWN, 404),
    (DigestMismatch, errors.DIGEST_INVALID, 400),
    (UploadTakenOver, errors.BLOB_UPLOAD_INVALID, 400),
    (BodyTooLarge, errors.MANIFEST_INVALID, 413),
    (BodyCut, errors.SIZE_INVALID, 400),
    (Unavailable, errors.UNAVAILABLE, 503),
)


def answer(
    status: int, headers: Mapping[str, str] | None = None, *, body: bytes | None = None, kind: str = ""
) -> web.Response:
    """A response with a small body or none."""
    all_headers = {**_ALWAYS, **(headers or {})}
    if kind:
        all_headers["Content-Type"] = kind
    return web.Response(status=status, headers=all_headers, body=body)


def with_standing(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` with those that every answer has."""
    return {**_ALWAYS, **headers}


def problem(error: Exception) -> web.Response:
    """The error body of the specification. An error that nobody expected tells the client nothing of itself."""
    found = translate(error)
    return answer(found.status, dict(found.headers), body=found.body, kind="application/json; charset=utf-8")


def translate(error: Exception) -> ProtocolError:
    """What `error` is called in the protocol."""
    if isinstance(error, ProtocolError):
        return error
    for kind, code, status in _KINDS:
        if isinstance(error, kind):
            return ProtocolError(code, error.message, status=status)
    if isinstance(error, OSError) and error.errno in _FULL:
        return ProtocolError(errors.UNAVAILABLE, "the registry has no space left", status=507)
    return ProtocolError(errors.UNKNOWN, "the registry failed; its log tells more")
