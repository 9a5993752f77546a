"""A helper ends with its caller, and nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

# Stands for a monitor: its helper is a process that would not end by itself.
_CALLER = """
import os, sys
from estiba.networks.mortal import end_with_caller
helper = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
held = end_with_caller(os.pidfd_open(helper))
print(helper, flush=True)
sys.stdin.read()
os.close(held)
os.wait()
os.wait()
"""


def _caller() -> tuple[subprocess.Popen[str], int]:
    """The caller, and a descriptor of its helper."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, os.pidfd_open(int(process.stdout.readline()))


def _has_ended(helper: int) -> bool:
    import select

    try:
        return bool(select.select([helper], [], [], 10)[0])
    finally:
        os.close(helper)


def test_a_helper_ends_with_a_caller_that_is_killed() -> None:
    process, helper = _caller()
    with process:
        process.send_signal(signal.SIGKILL)
    assert _has_ended(helper)


def test_a_helper_ends_when_its_caller_lets_it_go() -> None:
    process, helper = _caller()
    process.communicate(timeout=20)
    assert process.returncode == 0, "the caller could wait for the helper and for what ended it"
    assert _has_ended(helper)


def test_a_helper_that_ended_before_takes_no_other_process_with_it() -> None:
    """Its number may be somebody else's by then; the descriptor still is the helper's."""
    process, helper = _caller()
    signal.pidfd_send_signal(helper, signal.SIGKILL)
    assert _has_ended(helper)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_what_waits_is_not_taken_for_its_caller() -> None:
    process, helper = _caller()
    with process:
        children = subprocess.run(["ps", "-o", "args=", "--ppid", str(process.pid)], capture_output=True, text=True)
        process.kill()
    assert sorted(line[:12] for line in children.stdout.splitlines()) == ["estiba: ends", "sleep 1000"]
    assert _has_ended(helper)
