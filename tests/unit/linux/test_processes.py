"""Signals by name and number, and processes named for good."""

from __future__ import annotations

import os

import pytest

from estiba.errors import InvalidInput
from estiba.linux.processes import exit_status, has_ended, pidfd_open, send_signal, start_time
from estiba.linux.signals import parse_signal

SIGNALS = {
    "TERM": 15,
    "SIGTERM": 15,
    "sigkill": 9,
    "9": 9,
    "0": 0,
    "RTMIN": 34,
    "SIGRTMIN+3": 37,
    "RTMAX-1": 63,
    "IOT": 6,
    "CLD": 17,
}


@pytest.mark.parametrize(("text", "number"), SIGNALS.items())
def test_a_signal_is_found(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "NOPE", "65", "-1", "RTMIN+99", "_DFL", "SIG_IGN", "\uff11"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_signal(text)


def test_a_process_is_followed_to_its_end() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    descriptor = pidfd_open(pid)
    assert start_time(pid) is not None
    assert not has_ended(descriptor)
    assert send_signal(descriptor, 9)
    assert has_ended(descriptor, timeout=10)
    assert start_time(pid) is None, "a zombie has ended"
    assert exit_status(os.waitpid(pid, 0)[1]) == 137
    assert not send_signal(descriptor, 9)
    os.close(descriptor)


def test_an_exit_code_is_the_shells() -> None:
    assert [exit_status(status) for status in (0, 3 << 8, 15)] == [0, 3, 143]
