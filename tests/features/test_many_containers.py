"""Many containers, one after the other and at once: each works, and nothing of them is left."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = [pytest.mark.without_root_too(takes_long=True), pytest.mark.slow]

CONTAINERS = int(os.environ.get("ESTIBA_STRESS_CONTAINERS", "40"))
AT_ONCE = int(os.environ.get("ESTIBA_STRESS_AT_ONCE", "24"))
# Kibibytes of one monitor among many, shared pages counted in part (PSS).
LARGEST_MONITOR = 9 * 1024


def test_one_after_the_other_leave_nothing(busybox_host):
    for number in range(CONTAINERS):
        done = busybox_host.estiba("run", "--rm", "busybox", "echo", str(number))
        assert done.stdout == f"{number}\n"
    assert busybox_host.estiba("ps", "-aq").stdout == ""
    busybox_host.wait_until(lambda: not busybox_host.monitors(), "every monitor has ended")


def test_many_at_once_are_there_and_are_removed(busybox_host):
    names = [f"one-{number}" for number in range(AT_ONCE)]
    started = _at_once([["run", "-d", "--name", name, "busybox", "sleep", "1000"] for name in names], busybox_host)
    assert [text for text in started if text] == [], "what failed to start"
    shown = busybox_host.estiba("ps", "--format", "{{.Names}}").stdout.split()
    assert sorted(shown) == sorted(names)
    if busybox_host.has_bridges:
        addresses = {busybox_host.inspect(name)["NetworkSettings"]["IPAddress"] for name in names}
        assert len(addresses) == AT_ONCE, "every container has an address of its own"

    monitors = busybox_host.monitors()
    assert len(monitors) == AT_ONCE
    sizes = sorted(_proportional_set_size(pid) for pid in monitors)
    print(f"PSS of a monitor among {AT_ONCE}: {sizes[len(sizes) // 2]} KiB")
    assert sizes[-1] < LARGEST_MONITOR

    assert [text for text in _at_once([["exec", name, "true"] for name in names], busybox_host) if text] == []
    assert [text for text in _at_once([["stop", "-t", "0", name] for name in names], busybox_host) if text] == []
    assert busybox_host.estiba("ps", "-q").stdout == ""
    assert [text for text in _at_once([["rm", name] for name in names], busybox_host) if text] == []
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_many_enter_one_container_at_once(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    told = _at_once([["exec", "one", "sh", "-c", f"exit $(({number} % 2))"] for number in range(AT_ONCE)], busybox_host)
    assert sum(1 for text in told if text) == AT_ONCE // 2, "each has its own exit code"
    assert busybox_host.state("one") == "running"


def _at_once(commands: list[list[str]], host) -> list[str]:
    """Runs them side by side; gives for each what it said if it failed, else ""."""

    def run(words: list[str]) -> str:
        done = subprocess.run(
            host.command(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return "" if done.returncode == 0 else f"{' '.join(words)}: {done.returncode} {done.stderr}"

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(run, commands))


def _proportional_set_size(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
