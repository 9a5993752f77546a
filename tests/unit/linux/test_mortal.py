"""A program ends with whoever started it, by whatever that ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("descriptors", ["{}", "{number: 100 for number in range(60)}"])
def test_why_a_program_cannot_be_executed_is_told(tmp_path, descriptors) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    script = f"""
import os, sys
from estiba.linux import mortal
os.dup2(os.open(os.devnull, os.O_RDWR), 100)
before = os.listdir("/proc/self/fd")
for program in ("/none", "{tmp_path}", "{tmp_path}/script"):
    try:
        mortal.spawn(program, ["x"], {{}}, descriptors={descriptors})
    except OSError as error:
        print(error.strerror, error.filename == program)
assert os.listdir("/proc/self/fd") == before
pid = mortal.spawn("/bin/true", ["true"], {{}}, descriptors={descriptors})
print(os.waitpid(pid, 0)[1], os.listdir("/proc/self/fd") == before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "No such file or directory True",
        "Permission denied True",
        "No such file or directory True",
        "0 True",
    ]
