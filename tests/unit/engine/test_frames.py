"""Frames survive any cutting, and sockets with any path."""

from __future__ import annotations

import os

import pytest

from estiba.engine import frames
from estiba.engine.terminal import DetachKeys, parse_detach_keys
from estiba.errors import InvalidInput


def test_frames_come_out_whole_however_the_bytes_were_cut():
    wanted = [
        frames.Frame(frames.OUTPUT, b"x" * 1000),
        frames.Frame(frames.DONE, b""),
        frames.Frame(frames.WAIT, b"[1]"),
    ]
    data = b"".join(frames.encoded(frame.kind, frame.content) for frame in wanted)
    for size in (1, 2, 3, 7, 1000, 10_000):
        decoder = frames.Decoder()
        got = [f for start in range(0, len(data), size) for f in decoder.feed(data[start : start + size])]
        assert got == wanted


def test_a_frame_of_absurd_length_is_refused():
    with pytest.raises(ValueError, match="frame of"):
        frames.Decoder().feed(b"\x01\xff\xff\xff\xff")


def test_a_descriptor_and_values_travel_and_the_end_is_noticed(tmp_path):
    connection, theirs = frames.pair()
    other = frames.Connection(theirs)
    connection.send(frames.RESIZE, [24, 80])
    assert other.is_ready(timeout=1)
    assert other.receive().json() == [24, 80]
    assert not other.is_ready(timeout=0)
    connection.close()
    with pytest.raises(frames.MonitorGone):
        other.receive()
    other.close()


def test_frames_that_came_together_are_all_ready(tmp_path):
    connection, theirs = frames.pair()
    theirs.sendall(frames.encoded(frames.STARTED) + frames.encoded(frames.OUTPUT, b"words"))
    assert connection.receive().kind == frames.STARTED
    assert connection.is_ready(timeout=0)
    assert connection.receive_available() == [frames.Frame(frames.OUTPUT, b"words")]
    connection.close()
    theirs.close()


def test_a_socket_may_lie_deeper_than_its_address_is_long(tmp_path):
    directory = f"{tmp_path}/{'d' * 200}"
    os.mkdir(directory)
    with pytest.raises(frames.MonitorGone):
        frames.connect(directory, "attach")
    listener = frames.listen(directory, "attach")
    with frames.connect(directory, "attach") as connection:
        accepted = frames.accept(listener)
        accepted.sendall(frames.encoded(frames.DONE))
        assert connection.receive().kind == frames.DONE
        accepted.close()
    listener.close()
    with pytest.raises(frames.MonitorGone):
        frames.connect(directory, "attach")


@pytest.mark.parametrize(
    ("pieces", "passed", "leaves"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
    ],
)
def test_the_keys_that_leave_are_found_and_others_pass(pieces, passed, leaves):
    keys = DetachKeys()
    results = [keys.feed(piece) for piece in pieces]
    assert (b"".join(data for data, _ in results), results[-1][1]) == (passed, leaves)


def test_keys_are_named_as_docker_names_them():
    assert parse_detach_keys("ctrl-a,d") == b"\x01d"
    assert parse_detach_keys("") == b""
    with pytest.raises(InvalidInput):
        parse_detach_keys("ctrl-")
