"""The life of an upload, and which chunk may come next."""

from __future__ import annotations

import pytest

from estiba.registry.protocol import errors, uploads
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.uploads import Chunk


def plan(content_range: str | None, length: int | None, *, size: int) -> Chunk:
    return uploads.plan_chunk(
        content_range=content_range, content_length=length, size=size, repository="a", session="f" * 32
    )


def test_a_body_without_a_range_goes_to_the_end():
    assert plan(None, 10, size=5) == Chunk(5, 10)
    assert plan(None, None, size=5) == Chunk(5, None)


def test_a_chunk_in_order_is_taken():
    assert plan("5-14", 10, size=5) == Chunk(5, 10)
    assert plan("5-14", None, size=5) == Chunk(5, 10)


@pytest.mark.parametrize("chunk", ["0-4", "6-9", "4-5"])
def test_a_chunk_out_of_order_is_told_where_to_go_on(chunk):
    with pytest.raises(ProtocolError) as caught:
        plan(chunk, None, size=5)
    assert (caught.value.code, caught.value.status) == (errors.RANGE_INVALID, 416)
    assert dict(caught.value.headers)["Range"] == "0-4"


@pytest.mark.parametrize("chunk", ["", "x", "5-4", "5", "-5"])
def test_a_malformed_range_is_refused(chunk):
    with pytest.raises(ProtocolError) as caught:
        plan(chunk, None, size=5)
    assert caught.value.code == errors.BLOB_UPLOAD_INVALID


def test_a_range_of_another_length_than_the_body_is_refused():
    with pytest.raises(ProtocolError) as caught:
        plan("5-14", 9, size=5)
    assert caught.value.code == errors.SIZE_INVALID


def test_a_session_ends_once():
    assert uploads.next_state(uploads.OPEN, "append") == uploads.OPEN
    assert uploads.next_state(uploads.OPEN, "finish") == uploads.STORED
    for state in (uploads.STORED, uploads.GONE):
        with pytest.raises(ProtocolError) as caught:
            uploads.next_state(state, "append")
        assert caught.value.code == errors.BLOB_UPLOAD_UNKNOWN
