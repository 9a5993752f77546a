"""A program ends with whoever started it, by whatever that ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

_CALLER = """
import os, sys
from estiba.linux import mortal
null = os.dup2(os.open(os.devnull, os.O_RDWR), 100)
print(mortal.spawn("/bin/sleep", ["sleep", "1000"], {}, descriptors={0: 100, 1: 100, 2: 100}), flush=True)
sys.stdin.read()
"""


def test_a_program_ends_with_a_caller_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        program = os.pidfd_open(int(caller.stdout.readline()))
        assert select.select([program], [], [], 0)[0] == []
        caller.send_signal(signal.SIGKILL)
    try:
        assert select.select([program], [], [], 10)[0] == [program]
    finally:
        os.close(program)


def test_a_program_that_cannot_be_executed_is_127() -> None:
    script = "from estiba.linux import mortal; import os; pid = mortal.spawn('/none', ['none'], {}, descriptors={});"
    script += "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "127\n"
