"""The machine that is measured on: its CPU counter and a description."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The root cgroup counts everything that runs, in nanoseconds (version 1) or microseconds (version 2).
_VERSION_1 = "/sys/fs/cgroup/cpuacct/cpuacct.usage"
_VERSION_2 = "/sys/fs/cgroup/cpu.stat"


def cpu_clock() -> Callable[[], float]:
    """A function that gives the CPU seconds which this machine has spent, as finely as the kernel counts them."""
    if os.path.exists(_VERSION_1):
        return lambda: int(_read(_VERSION_1)) / 1e9
    if os.path.exists(_VERSION_2):
        return lambda: int(_read(_VERSION_2).split("usage_usec ")[1].split()[0]) / 1e6
    tick = os.sysconf("SC_CLK_TCK")
    # proc_stat(5): user, nice, system, then idle and iowait, which are not work, then irq and softirq.
    return lambda: sum(int(_read("/proc/stat").split()[field]) for field in (1, 2, 3, 6, 7)) / tick


@contextmanager
def group_clock() -> Iterator[Callable[[], float]]:
    """A clock of the CPU seconds that this process and all that it starts meanwhile have spent, whoever else is busy.

    It is a control group of its own, below the one that this process is in and goes back to. What an engine puts into
    another one is not seen: containers, but no part of a build, a push or a pull. Where there can be no such group it
    is the clock of the whole machine.
    """
    version_1 = os.path.exists(_VERSION_1)
    above = _own_group(_read("/proc/self/cgroup"), "cpuacct" if version_1 else "")
    group = f"{above}/est-bench-{os.getpid()}"
    try:
        os.mkdir(group)
    except OSError:
        yield cpu_clock()
        return
    try:
        _join(group)
    except OSError:
        os.rmdir(group)
        yield cpu_clock()
        return
    try:
        if version_1:
            yield lambda: int(_read(f"{group}/cpuacct.usage")) / 1e9
        else:
            yield lambda: int(_read(f"{group}/cpu.stat").split("usage_usec ")[1].split()[0]) / 1e6
    finally:
        _join(above)
        os.rmdir(group)


def _own_group(text: str, controller: str) -> str:
    """The directory of the control group that a /proc/PID/cgroup (cgroups(7)) names; "" as controller is version 2."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return f"/sys/fs/cgroup{'/' if controller else ''}{controller}{path}".rstrip("/")
    return f"/sys/fs/cgroup/{controller}".rstrip("/")


def _join(group: str) -> None:
    with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def describe() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    model = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if "model name" in line), "?"
    )
    memory = int(_read("/proc/meminfo").split()[1]) / 1024**2
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}."
    )


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
