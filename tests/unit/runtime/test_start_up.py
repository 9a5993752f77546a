"""What the runtime loads at a start: every module is paid for at every container."""

from __future__ import annotations

import os
import subprocess
import sys

import estiba

# Each costs milliseconds of processor time, and nothing on the way to a container needs it.
EXPENSIVE = """
argparse collections contextlib dataclasses enum functools inspect json logging pathlib re shutil signal socket
subprocess tempfile threading traceback typing
"""

CODE = """
import sys
sys.path.insert(0, {source!r})
import estiba.runtime.main
import estiba.runtime.interpreter
from estiba.runtime.verbs import create, delete, kill, others, start, state
import estiba.runtime.verbs.exec
from estiba.runtime.seccomp.filter import load_tables
load_tables("x86_64")
print(*sys.modules)
"""


def test_a_start_loads_nothing_expensive() -> None:
    source = os.path.dirname(os.path.dirname(estiba.__file__))
    command = [sys.executable, "-I", "-S", "-c", CODE.format(source=source)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) & set(EXPENSIVE.split()) == set()
    assert len(loaded) < 112
