"""A container's health follows from the results of its probes as Docker counts them."""

from __future__ import annotations

import pytest

from estiba.engine.health import HEALTHY, STARTING, UNHEALTHY, Result, State, Timing, command, overdue, text_of
from estiba.engine.options import Health

SECOND = 10**9
DEFAULT = Timing()


def after(*codes: int, timing: Timing = DEFAULT, each: float = 10.0) -> State:
    """The state after probes that ended so, one every `each` seconds from the start (0) on."""
    state = State()
    for number, code in enumerate(codes):
        state = state.after(Result(number * each, number * each, code, ""), timing, started=0)
    return state


def test_what_is_not_said_is_dockers_default():
    assert Timing.of(Health()) == Timing(30, 30, 0, 5, 3)
    assert Timing.of(Health((), 1, -1, 1, 10**400, -5)) == Timing(0.001, 30, 0.001, 20 * 86400, 3)
    assert Timing.of(Health((), SECOND, SECOND // 2, 3 * SECOND, 4 * SECOND, 5)) == Timing(1, 0.5, 3, 4, 5)


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ((), STARTING, 0),
        ((0,), HEALTHY, 0),
        ((1, 1), STARTING, 2),
        ((1, 1, 1), UNHEALTHY, 3),
        ((0, 1, 1), HEALTHY, 2),
        ((0, 1, 1, -1), UNHEALTHY, 3),
        ((1, 1, 1, 0), HEALTHY, 0),
        ((1, 1, 1, 0, 1), HEALTHY, 1),
    ],
)
def test_failures_in_a_row_make_it_unhealthy_and_one_success_healthy(codes, status, streak):
    state = after(*codes)
    assert (state.status, state.streak) == (status, streak)


def test_failures_of_the_start_period_do_not_count_until_it_was_healthy():
    timing = Timing(start_period=25, retries=1)
    assert after(1, 1, 1, timing=timing)[:2] == (STARTING, 0)
    assert after(1, 1, 1, 1, timing=timing)[:2] == (UNHEALTHY, 1)
    assert after(0, 1, timing=timing)[:2] == (UNHEALTHY, 1)


def test_it_is_looked_at_more_often_while_it_starts():
    timing = Timing(interval=30, start_period=20, start_interval=2)
    assert State().wait(timing, lived=1) == 2
    assert State().wait(timing, lived=20) == 30
    assert State(HEALTHY).wait(timing, lived=1) == 30


def test_the_last_five_results_are_kept():
    state = after(*range(9))
    assert [one.exit_code for one in state.log] == [4, 5, 6, 7, 8]
    assert State.from_json(state.to_json()) == state


def test_the_command_is_that_of_the_test_in_the_images_shell():
    assert command(Health(("CMD", "a", "b"))) == ("a", "b")
    assert command(Health(("CMD-SHELL", "a b"))) == ("/bin/sh", "-c", "a b")
    assert command(Health(("CMD-SHELL", "a b"), shell=("/bin/bash", "-ec"))) == ("/bin/bash", "-ec", "a b")
    for test in ((), ("NONE",), ("CMD",), ("CMD-SHELL",)):
        assert command(Health(test)) == ()


def test_of_the_output_no_more_than_4096_bytes_are_kept():
    assert text_of(b"x" * 4096) == "x" * 4096
    assert text_of(b"x" * 4097) == "x" * 4096 + "..."
    assert len(text_of(b"\xff" * 5000)) == 4099
    assert overdue(1.5, b"") == "Health check exceeded timeout (1.5s)"
    assert overdue(1, b"slow") == "Health check exceeded timeout (1s): slow"
    assert [overdue(each, b"")[31:-1] for each in (0.2, 60, 90, 5400)] == ["200ms", "1m0s", "1m30s", "1h30m0s"]
