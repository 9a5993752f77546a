"""The life-cycle is a table: what may follow, what a command may do, when a container starts again."""

from __future__ import annotations

import pytest

from estiba.engine import lifecycle
from estiba.engine.restart_policy import LONGEST_DELAY, Ended, RestartPolicy, decide
from estiba.errors import InvalidInput


def test_every_state_can_be_left_and_leads_to_known_states_only():
    for state, following in lifecycle.NEXT.items():
        assert following
        assert following <= set(lifecycle.NEXT), state


def test_a_command_acts_has_nothing_to_do_or_is_refused():
    assert lifecycle.must_act("stop", lifecycle.RUNNING, name="one")
    assert not lifecycle.must_act("stop", lifecycle.EXITED, name="one")
    with pytest.raises(lifecycle.WrongState, match="one is not running"):
        lifecycle.must_act("exec", lifecycle.EXITED, name="one")


def test_every_refusal_has_a_remedy():
    for command, (acting, done) in lifecycle.ACCEPTS.items():
        for state in lifecycle.NEXT:
            if state not in acting | done:
                refused = lifecycle.WrongState("one", command, state)
                assert f"cannot be {lifecycle._DONE[command]}" in refused.message
                assert "{" not in refused.remedy and refused.remedy
    assert lifecycle.WrongState("one", "remove", lifecycle.RUNNING).remedy.endswith("estiba rm -f one")
    assert "nothing to kill" in lifecycle.WrongState("one", "kill", lifecycle.EXITED).remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", RestartPolicy()),
        ("", RestartPolicy()),
        ("always", RestartPolicy("always")),
        ("on-failure:5", RestartPolicy("on-failure", 5)),
    ],
)
def test_a_restart_policy_is_read_as_docker_reads_it(text, expected):
    assert RestartPolicy.parse(text) == expected


@pytest.mark.parametrize("text", ["never", "always:3", "on-failure:x", "on-failure:-1"])
def test_a_restart_policy_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidInput):
        RestartPolicy.parse(text)


@pytest.mark.parametrize(
    ("policy", "ended", "restarts", "starts"),
    [
        ("no", Ended(1, 0, False), 0, False),
        ("on-failure", Ended(0, 0, False), 0, False),
        ("on-failure", Ended(1, 0, False), 50, True),
        ("on-failure:2", Ended(1, 0, False), 1, True),
        ("on-failure:2", Ended(1, 0, False), 2, False),
        ("always", Ended(0, 0, False), 0, True),
        ("always", Ended(0, 0, True), 0, False),
        ("unless-stopped", Ended(137, 0, True), 0, False),
    ],
)
def test_a_policy_decides_whether_to_start_again(policy, ended, restarts, starts):
    decision = decide(RestartPolicy.parse(policy), ended, restarts=restarts, last_delay=0)
    assert (decision.delay is not None) is starts
    assert decision.reason


def test_delays_double_up_to_a_minute_and_begin_anew_after_a_good_start():
    policy, delay, delays = RestartPolicy("always"), 0.0, []
    for _ in range(12):
        delay = decide(policy, Ended(1, 0.1, False), restarts=0, last_delay=delay).delay or 0
        delays.append(delay)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY
    assert decide(policy, Ended(1, 11, False), restarts=0, last_delay=delay).delay == 0.1
