"""Ranges of blobs, and of chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.registry.protocol import ranges
from estiba.registry.protocol.ranges import ByteRange, Unsatisfiable

SIZES = st.integers(0, 10**12)


@given(SIZES, SIZES, SIZES)
def test_a_range_is_what_a_slice_is(start, end, size):
    text = f"bytes={start}-{end}"
    if end < start:
        assert ranges.parse_range(text, size=size) is None
    elif start >= size:
        with pytest.raises(Unsatisfiable):
            ranges.parse_range(text, size=size)
    else:
        assert ranges.parse_range(text, size=size) == ByteRange(start, min(end, size - 1))


@given(SIZES, SIZES)
def test_a_suffix_is_the_end(length, size):
    text = f"bytes=-{length}"
    if length == 0 or size == 0:
        with pytest.raises(Unsatisfiable):
            ranges.parse_range(text, size=size)
    else:
        found = ranges.parse_range(text, size=size)
        assert found == ByteRange(max(size - length, 0), size - 1)
        assert found.length == min(length, size)


@given(st.text(), SIZES)
def test_any_text_is_a_range_or_ignored(text, size):
    try:
        found = ranges.parse_range(text, size=size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.start <= found.end < size


@pytest.mark.parametrize("text", ["bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-1"])
def test_what_is_no_single_range_is_ignored(text):
    assert ranges.parse_range(text, size=100) is None


@given(SIZES, st.integers(1, 10**9))
def test_a_chunk_is_read_in_both_ways_of_writing_it(start, length):
    chunk = ByteRange(start, start + length - 1)
    assert ranges.parse_chunk(str(chunk)) == chunk
    assert ranges.parse_chunk(f"bytes {chunk}/*") == chunk
    assert ranges.parse_content_range(f"bytes {chunk}/{start + length}") == (chunk, start + length)


@given(st.text())
def test_any_text_is_a_chunk_or_none(text):
    found = ranges.parse_chunk(text)
    assert found is None or found.length >= 1


@given(st.integers(2, 10**12))
def test_what_was_received_is_where_to_go_on(size):
    assert ranges.offset_of(ranges.received(size)) == size


def test_nothing_received_is_written_as_docker_writes_it():
    assert ranges.received(0) == "0-0"
    assert ranges.offset_of("0-0") == 0
    assert ranges.offset_of("5-9") is None
