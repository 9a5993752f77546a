"""A monitor hears commands of any version, and goes on whatever they say."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.engine import frames
from estiba.engine.monitor import serving as module
from estiba.engine.monitor.orders import NotUnderstood, understood
from estiba.engine.monitor.serving import Serving
from estiba.engine.options import Membership
from estiba.oci import json_text

KINDS = [
    frames.START, frames.ATTACH, frames.INPUT, frames.INPUT_END, frames.RESIZE, frames.SIGNAL, frames.STOP, frames.WAIT,
    frames.CONNECT, frames.DISCONNECT, 200,
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Membership._fields, "input", "more"]), inner, max_size=4)
    ),
    max_leaves=6,
)
contents = st.binary(max_size=40) | values.map(lambda value: json_text.dumps(value).encode())


class Life:
    """What a monitor has beside what it serves with: here it notes who is to be joined."""

    def change_networks(self, client: Any, kind: int, order: Any) -> None:
        assert isinstance(order, Membership if kind == frames.CONNECT else str)
        client.send(frames.DONE)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    made = Serving()
    made.life = lambda: Life()  # type: ignore[assignment, return-value]
    yield made
    made.close_wakeups()


@given(st.sampled_from(KINDS), contents)
def test_no_frame_ends_it(serving: Serving, kind: int, content: bytes) -> None:
    ours, theirs = frames.pair()
    client = serving.add_client(theirs)
    with ours:
        ours.send(kind, content)
        serving.loop.turn(time.monotonic() + 5)
        if ours.is_ready(timeout=0):
            answer = ours.receive()
            assert answer.kind in (frames.DONE, frames.REFUSED)
            if answer.kind == frames.REFUSED:
                assert "does not understand" in answer.json()["message"] and "restart" in answer.json()["remedy"]
        else:
            assert kind in (frames.INPUT, frames.INPUT_END, frames.RESIZE, frames.WAIT)
        assert client.is_open
        client.close()


def read(kind: int, value: Any) -> Any:
    return understood(frames.Frame(kind, json_text.dumps(value).encode()))


def test_what_every_version_says_is_understood() -> None:
    assert read(frames.RESIZE, [24, 80]) == (24, 80)
    assert read(frames.STOP, 15) == 15
    assert read(frames.ATTACH, {"input": True}) is True
    joined = Membership("inner", ("www",), "10.0.0.7", "02:00:00:00:00:01")
    assert read(frames.CONNECT, joined._asdict()) == joined
    assert read(frames.DISCONNECT, "inner") == "inner"


def test_what_a_later_version_adds_is_refused_where_it_says_something() -> None:
    assert read(frames.CONNECT, {"network": "inner", "priority": 0}) == Membership("inner")
    with pytest.raises(NotUnderstood, match="'priority' of a network"):
        read(frames.CONNECT, {"network": "inner", "priority": 3})


@pytest.mark.parametrize("value", ["15", 0, 65, True, None, [15], 1.0, "[" * 100_000])
def test_what_is_no_signal_is_none(value: Any) -> None:
    with pytest.raises(NotUnderstood):
        read(frames.SIGNAL, value)


def test_nesting_without_end_is_not_understood() -> None:
    with pytest.raises(NotUnderstood):
        understood(frames.Frame(frames.SIGNAL, b"[" * 100_000))


def test_without_descriptors_left_it_waits_until_somebody_leaves(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_listener: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    serving.listen(frames.listen(str(tmp_path), "door"))
    with frames.connect(str(tmp_path), "door"):
        serving.loop.turn(time.monotonic() + 5)
        (client,) = serving.clients
        with frames.connect(str(tmp_path), "door"):
            with monkeypatch.context() as patched:
                patched.setattr(module.frames, "accept", none_left)
                serving.loop.turn(time.monotonic() + 5)
            assert serving.listener is not None and serving.listener.fileno() not in serving.loop.descriptors
            client.close()
            serving.loop.turn(time.monotonic() + 5)
            (other,) = serving.clients
            other.close()
    serving.close_doors()
