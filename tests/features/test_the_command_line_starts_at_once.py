"""What is used often loads little: no module that is slow to import is loaded where it is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import estiba

# Each takes milliseconds, or brings many others with it.
SLOW = frozenset(
    (
        "aiohttp",
        "alembic",
        "asyncio",
        "concurrent.futures",
        "dataclasses",
        "email",
        "http",
        "inspect",
        "isal",
        "logging",
        "msgspec",
        "pathlib",
        "rich",
        "sqlalchemy",
        "ssl",
        "subprocess",
        "tarfile",
        "tempfile",
        "tomllib",
        "unittest",
        "urllib.request",
        "zstandard",
    )
)

SOURCE = os.path.dirname(os.path.dirname(estiba.__file__))

PROGRAM = """\
import sys
before = set(sys.modules)
from estiba.cli.main import run
status = run(sys.argv[1:], {})
print(status, *sorted(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("ps",),
        ("images",),
        ("logs", "nothing"),
        ("exec", "nothing", "true"),
        ("run", "--pull", "never", "nothing"),
        ("stop", "nothing"),
        ("inspect", "nothing"),
        ("version",),
        ("help",),
    ],
    ids=lambda words: words[0],
)
def test_a_frequent_command_loads_no_slow_module(estiba_home: Any, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, "--root", estiba_home.root, "--run", estiba_home.run, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    status, *loaded = done.stderr.splitlines()[-1].split()
    assert status in {"0", "1", "125"}, done.stderr
    assert SLOW & set(loaded) == set()


# What `ps` and `exec` do without: each would be a tenth of what they take beside the interpreter itself.
UNNEEDED = """
argparse collections contextlib ctypes enum functools importlib json re shutil signal socket sqlite3 tty types typing
estiba.engine.volumes estiba.oci.reference
"""


RUN = ("run", "--rm", "--network", "none", "busybox", "true")


@pytest.mark.root
@pytest.mark.parametrize(
    ("command", "most", "needed"),
    [
        (("ps",), 55, ""),
        (("exec", "one", "true"), 62, ""),
        (RUN, 124, "ctypes types estiba.engine.volumes estiba.oci.reference"),
    ],
    ids=["ps", "exec", "run"],
)
def test_what_is_used_most_loads_next_to_nothing(
    busybox_host: Any, command: tuple[str, ...], most: int, needed: str
) -> None:
    """With a container that runs, so that they go all the way."""
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    places = ["--root", busybox_host.root, "--run", busybox_host.run_directory]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {SOURCE!r})\n{PROGRAM}", *places, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    status, *loaded = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    assert set(UNNEEDED.split()) & set(loaded) <= set(needed.split())
    assert len(loaded) <= most, loaded


MONITOR = """\
import sys
sys.path.insert(0, sys.argv[1])
import estiba.engine.monitor.main, estiba.engine.monitor.life, estiba.runtime.lifecycle
print(*sorted(sys.modules))
"""


def test_a_monitor_loads_only_what_a_container_without_a_network_needs() -> None:
    """It is one process a container, so what it loads counts as often; the modules here take most of its start."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MONITOR, SOURCE], capture_output=True, text=True, timeout=60, check=True
    )
    slow = {"typing", "re", "enum", "json", "hashlib", "datetime", "contextlib", "signal", "threading", "argparse"}
    loaded = set(done.stdout.split())
    assert (SLOW | slow) & loaded == set()
    assert not {name for name in loaded if name.startswith("estiba.networks.networks")}


SETTLED = """\
import sys
sys.path.insert(0, sys.argv[1])
import estiba.engine.monitor.settled
print(*sorted(sys.modules))
"""


def test_a_monitor_whose_container_runs_on_has_next_to_nothing_loaded() -> None:
    """No database, no runtime, no network, and nothing that calls the C library by hand."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SETTLED, SOURCE], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.split()
    assert {"ctypes", "_ctypes", "_sqlite3", "_pickle", "pickle", *UNNEEDED.split()} & set(loaded) == set()
    assert not [name for name in loaded if name.startswith(("estiba.runtime", "estiba.store", "estiba.networks"))]
    assert len(loaded) < 66
