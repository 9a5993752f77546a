"""Error codes, their HTTP status and the JSON body that carries them (distribution-spec, "Error Codes")."""

from __future__ import annotations

import json

from estiba.errors import EstibaError
from estiba.values import NamedTuple


class ErrorCode(NamedTuple):
    """`status` is what the server answers with unless the case demands another; `meaning` is the usual sentence."""

    name: str
    status: int
    meaning: str


BLOB_UNKNOWN = ErrorCode("BLOB_UNKNOWN", 404, "blob unknown to registry")
BLOB_UPLOAD_INVALID = ErrorCode("BLOB_UPLOAD_INVALID", 400, "blob upload invalid")
BLOB_UPLOAD_UNKNOWN = ErrorCode("BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry")
DIGEST_INVALID = ErrorCode("DIGEST_INVALID", 400, "provided digest did not match uploaded content")
MANIFEST_BLOB_UNKNOWN = ErrorCode("MANIFEST_BLOB_UNKNOWN", 404, "manifest references a blob unknown to registry")
MANIFEST_INVALID = ErrorCode("MANIFEST_INVALID", 400, "manifest invalid")
MANIFEST_UNKNOWN = ErrorCode("MANIFEST_UNKNOWN", 404, "manifest unknown to registry")
NAME_INVALID = ErrorCode("NAME_INVALID", 400, "invalid repository name")
NAME_UNKNOWN = ErrorCode("NAME_UNKNOWN", 404, "repository name not known to registry")
SIZE_INVALID = ErrorCode("SIZE_INVALID", 400, "provided length did not match content length")
UNAUTHORIZED = ErrorCode("UNAUTHORIZED", 401, "authentication required")
DENIED = ErrorCode("DENIED", 403, "requested access to the resource is denied")
UNSUPPORTED = ErrorCode("UNSUPPORTED", 405, "the operation is unsupported")
TOOMANYREQUESTS = ErrorCode("TOOMANYREQUESTS", 429, "too many requests")
# Not in the specification's list, but what every client knows from Docker's registry.
TAG_INVALID = ErrorCode("TAG_INVALID", 400, "manifest tag is malformed")
RANGE_INVALID = ErrorCode("RANGE_INVALID", 416, "invalid content range")
PAGINATION_NUMBER_INVALID = ErrorCode("PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")
UNAVAILABLE = ErrorCode("UNAVAILABLE", 503, "service unavailable")
UNKNOWN = ErrorCode("UNKNOWN", 500, "unknown error")

ALL = (
    BLOB_UNKNOWN,
    BLOB_UPLOAD_INVALID,
    BLOB_UPLOAD_UNKNOWN,
    DIGEST_INVALID,
    MANIFEST_BLOB_UNKNOWN,
    MANIFEST_INVALID,
    MANIFEST_UNKNOWN,
    NAME_INVALID,
    NAME_UNKNOWN,
    SIZE_INVALID,
    UNAUTHORIZED,
    DENIED,
    UNSUPPORTED,
    TOOMANYREQUESTS,
    TAG_INVALID,
    RANGE_INVALID,
    PAGINATION_NUMBER_INVALID,
    UNAVAILABLE,
    UNKNOWN,
)


class ProtocolError(EstibaError):
    """A request that is answered with an error code. `detail` is the machine's part: what exactly, and where."""

    def __init__(
        self,
        code: ErrorCode,
        message: str = "",
        *,
        detail: object = None,
        status: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message or code.meaning)
        self.code = code
        self.detail = detail
        self.status = status or code.status
        self.headers = headers

    @property
    def body(self) -> bytes:
        return encode(self.code, self.message, self.detail)


def encode(code: ErrorCode, message: str, detail: object = None) -> bytes:
    """The error body: one entry."""
    entry: dict[str, object] = {"code": code.name, "message": message}
    if detail is not None:
        entry["detail"] = detail
    return json.dumps({"errors": [entry]}).encode() + b"\n"


class Reported(NamedTuple):
    """One entry of an error body that a server sent."""

    code: str
    message: str
    detail: str


def decode(body: bytes) -> tuple[Reported, ...]:
    """Read an error body; a body of another form (a proxy's page) gives nothing."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    entries = value.get("errors") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(
        Reported(_text(entry.get("code")), _text(entry.get("message")), _text(entry.get("detail")))
        for entry in entries
        if isinstance(entry, dict)
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
