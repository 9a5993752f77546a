"""The life of an upload session as a table (distribution-spec, "Pushing blobs").

(POST) ──▶ open ──PATCH──▶ open ──PUT?digest──▶ stored
             │                 └──PUT, wrong digest──▶ gone
             └──DELETE, or left alone for too long──▶ gone
"""

from __future__ import annotations

from estiba.registry.protocol import errors
from estiba.registry.protocol.endpoints import upload_path
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.ranges import parse_chunk, received
from estiba.values import NamedTuple

OPEN, STORED, GONE = "open", "stored", "gone"

# (state, event) -> state. What is missing is refused with BLOB_UPLOAD_UNKNOWN.
TRANSITIONS = {
    (OPEN, "status"): OPEN,
    (OPEN, "append"): OPEN,
    (OPEN, "cut"): OPEN,
    (OPEN, "finish"): STORED,
    (OPEN, "mismatch"): GONE,
    (OPEN, "cancel"): GONE,
    (OPEN, "expire"): GONE,
    (OPEN, "disk full"): GONE,
}


class Chunk(NamedTuple):
    """A request's body within a session: it begins at `offset` and has `length` bytes, None where that is not told."""

    offset: int
    length: int | None


def next_state(state: str, event: str) -> str:
    """The state after `event`.

    Raises:
        ProtocolError: BLOB_UPLOAD_UNKNOWN, where the session is over.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ProtocolError(errors.BLOB_UPLOAD_UNKNOWN, f"the upload session is {state}") from None


def plan_chunk(
    *, content_range: str | None, content_length: int | None, size: int, repository: str, session: str
) -> Chunk:
    """Decide whether a body may be appended to a session which holds `size` bytes.

    Raises:
        ProtocolError: RANGE_INVALID (416, with where to go on) for a chunk out of order, BLOB_UPLOAD_INVALID for a
            malformed header, SIZE_INVALID where range and length disagree.
    """
    if content_range is None:
        return Chunk(size, content_length)
    chunk = parse_chunk(content_range)
    if chunk is None:
        raise ProtocolError(
            errors.BLOB_UPLOAD_INVALID, f"Content-Range must be START-END, not {content_range!r}", status=416
        )
    if chunk.start != size:
        raise ProtocolError(
            errors.RANGE_INVALID,
            f"the chunk begins at byte {chunk.start}, but {size} bytes were received",
            headers=(
                ("Location", upload_path(repository, session)),
                ("Range", received(size)),
                ("Docker-Upload-UUID", session),
            ),
        )
    if content_length is not None and content_length != chunk.length:
        raise ProtocolError(
            errors.SIZE_INVALID,
            f"Content-Range {chunk} means {chunk.length} bytes, but Content-Length is {content_length}",
        )
    return Chunk(size, chunk.length)
