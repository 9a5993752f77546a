"""What a test may leave on the machine: nothing. Observations of the machine, and the pure comparison of two of them.

A test run marks itself with an environment variable (`MARK`), which every process that it starts inherits, so that a
stray process is known even when its parent is gone.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from estiba.linux import netlink

MARK = "ESTIBA_TEST_RUN"

# Helpers that Python's multiprocessing keeps for the life of the interpreter, by design.
INTERPRETER_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")

# What makes mounts, links and cgroups on a machine as a test run does.
OTHER_RUNS = ("pytest", "-m bench", "-m demo")

# NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE (linux/netfilter/nf_tables.h)
_GET_TABLE = 10 << 8 | 1


class Process(NamedTuple):
    """A process as /proc tells it; `started` (clock ticks since boot) tells two users of one number apart."""

    pid: int
    parent: int
    started: int
    state: str
    command: str
    environment: str


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo; `mount_id` is unique while the mount lives."""

    mount_id: int
    target: str
    description: str


class Machine(NamedTuple):
    """What is on the machine at one moment. `deep` says whether links, tables and cgroups were looked at."""

    deep: bool
    pids: frozenset[int]
    mounts: frozenset[Mount]
    links: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    cgroups: frozenset[str] = frozenset()


def observe(*, deep: bool) -> Machine:
    """The machine now; `deep` adds what only root can change: links, nftables tables, and cgroups that are not below
    those where others had processes when this run began."""
    pids = frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())
    mounts = frozenset(read_mounts())
    if not deep:
        return Machine(deep, pids, mounts)
    links = frozenset(os.listdir("/sys/class/net"))
    return Machine(deep, pids, mounts, links, read_tables(), frozenset(read_cgroups(others=_groups_of_others())))


@functools.cache
def _groups_of_others() -> frozenset[str]:
    return groups_of_others() if os.path.isdir("/sys/fs/cgroup") else frozenset()


def compare(
    before: Machine,
    after: Machine,
    processes: Mapping[int, Process],
    *,
    run: str,
    test_process: int,
    alone: bool,
    marks: Sequence[str],
) -> list[str]:
    """One sentence for each thing that is there after, was not there before, and belongs to the test.

    `processes` describes (at least) the processes that are new. A process belongs to the test when it descends from
    `test_process` or carries the mark of `run`. What the kernel names without an owner (mounts, links, tables, cgroups)
    belongs to the test when this run is `alone` on the machine, or else when one of `marks` (the test's own
    directories) is part of it.
    """
    found = [f"mount left: {mount.description}" for mount in sorted(after.mounts - before.mounts)]
    if before.deep and after.deep:
        found += [f"link left: {name}" for name in sorted(after.links - before.links)]
        found += [f"nftables table left: {name}" for name in sorted(after.tables - before.tables)]
        found += [f"cgroup left: {name}" for name in sorted(after.cgroups - before.cgroups)]
    found = [sentence for sentence in found if alone or any(mark in sentence for mark in marks)]
    for pid in sorted(after.pids - before.pids):
        process = processes.get(pid)
        if process is not None and belongs(process, processes, run=run, test_process=test_process):
            zombie = " (ended, nobody waited for it)" if process.state == "Z" else ""
            found.append(f"process left: {pid} {process.command}{zombie}")
    return found


def belongs(process: Process, processes: Mapping[int, Process], *, run: str, test_process: int) -> bool:
    """Whether a process was started, directly or not, by this test run."""
    if any(helper in process.command for helper in INTERPRETER_HELPERS):
        return False
    if f"{MARK}={run}" in process.environment.split("\0"):
        return True
    return any(ancestor.parent == test_process for ancestor in _ancestors(process.pid, processes))


def wait_until_clean(before: Machine, *, run: str, marks: Sequence[str], patience: float) -> list[str]:
    """What is left of a test, after giving what is just ending up to `patience` seconds."""
    deadline = time.monotonic() + patience
    while has_more(before, after := observe(deep=before.deep)):
        test_process = os.getpid()
        alone = has_more(before, after._replace(pids=before.pids)) and is_alone(
            read_processes(after.pids), test_process=test_process
        )
        new = read_processes(after.pids - before.pids)
        left = compare(before, after, new, run=run, test_process=test_process, alone=alone, marks=marks)
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.02)  # the condition is the comparison above
    return []


def has_more(before: Machine, after: Machine) -> bool:
    """Whether anything at all is there that was not."""
    return not (
        after.pids <= before.pids
        and after.mounts <= before.mounts
        and after.links <= before.links
        and after.tables <= before.tables
        and after.cgroups <= before.cgroups
    )


def is_alone(processes: Mapping[int, Process], *, test_process: int) -> bool:
    """Whether nothing else here mounts and links: else what has no owner cannot be laid at our door."""
    ancestors = {process.pid for process in _ancestors(test_process, processes)}
    return not any(
        any(word in process.command for word in OTHER_RUNS)
        and process.pid not in ancestors
        and all(ancestor.pid != test_process for ancestor in _ancestors(process.pid, processes))
        for process in processes.values()
    )


def _ancestors(pid: int, processes: Mapping[int, Process]) -> Iterable[Process]:
    """The process and those above it, as far as they are known."""
    seen: set[int] = set()
    while pid in processes and pid not in seen:
        seen.add(pid)
        yield processes[pid]
        pid = processes[pid].parent


def read_processes(pids: Iterable[int]) -> dict[int, Process]:
    """These processes and those above them; one that has ended is left out."""
    found: dict[int, Process] = {}
    wanted = list(pids)
    while wanted:
        pid = wanted.pop()
        if pid not in found and (process := read_process(pid)) is not None:
            found[pid] = process
            wanted.append(process.parent)
    return found


def read_process(pid: int) -> Process | None:
    """One process from /proc/PID/{stat,cmdline,environ}; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name is in parentheses and may hold anything; the fields after it are plain.
    name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip() or f"[{name}]"
    return Process(pid, int(fields[1]), int(fields[19]), fields[0], command, _read(f"/proc/{pid}/environ"))


def read_mounts(path: str = "/proc/self/mountinfo") -> Iterable[Mount]:
    """The mounts of this mount namespace (proc_pid_mountinfo(5))."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            kind = fields[fields.index("-") + 1 :]
            yield Mount(int(fields[0]), fields[4], f"{fields[4]} ({' '.join(kind)})")


def read_tables() -> frozenset[str]:
    """The nftables tables of this network namespace, as `nft list tables` names them, without the start of a program;
    none where the kernel shows none."""
    message = netlink.Message(_GET_TABLE, 0, bytes(4), "list the tables of the packet filter")
    try:
        with netlink.NetlinkSocket(netlink.NETLINK_NETFILTER) as kernel:
            replies = kernel.dump(message)
            return frozenset(_name_of_table(reply.body) for reply in replies)
    except OSError as error:
        if error.errno is None:  # not the kernel's refusal
            raise
        return frozenset()


def _name_of_table(body: bytes) -> str:
    """`inet firewall`: linux/netfilter/nfnetlink.h begins with the family, of the attributes 1 is the name."""
    families = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
    name = netlink.attributes(body[4:])[1].rstrip(b"\0").decode(errors="replace")
    return f"{families.get(body[0], body[0])} {name}"


def read_cgroups(top: str = "/sys/fs/cgroup", *, others: frozenset[str] = frozenset()) -> Iterable[str]:
    """Every cgroup directory that is not below one of `others`; on version 1 the same name appears once for each
    controller."""
    for directory, names, _ in os.walk(top):
        yield directory
        paths = {name: os.path.join(directory, name) for name in names}
        names[:] = [name for name, path in paths.items() if path not in others and not os.path.islink(path)]


def groups_of_others(top: str = "/sys/fs/cgroup") -> frozenset[str]:
    """The first groups of each hierarchy in which somebody has processes now: a service manager adds and removes groups
    below its own at any time. Those of Estiba's name are looked at in any case."""
    roots = [directory for directory in (top, *_directories(top)) if os.path.exists(f"{directory}/cgroup.procs")]
    first = [group for root in roots for group in _directories(root) if group not in roots]
    return frozenset(
        group for group in first if not os.path.basename(group).startswith("estiba") and _has_processes(group)
    )


def _directories(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _has_processes(group: str) -> bool:
    return any(_read(os.path.join(directory, "cgroup.procs")) for directory, _, _ in os.walk(group))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
