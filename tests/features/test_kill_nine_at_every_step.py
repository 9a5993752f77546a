"""`kill -9` of any process of a command at any of its steps: the next command says the truth, and nothing is left.

The steps are the system calls that `strike.py` finds: the command, its monitor, the runtime and the container's first
process are killed right before one of them. `scripts/stress` strikes at all of them, `make test` at some.
"""

from __future__ import annotations

import os

import pytest

from estiba.networks.networks import Networks
from strikes import PATIENCE, Struck, steps_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]


def names_in(directory: str) -> set[str]:
    return set(os.listdir(directory)) if os.path.isdir(directory) else set()


def groups_of(names: set[str]) -> list[str]:
    """The control groups that have one of these names."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) in names] if names else []


RUNS = {
    "in the foreground": ["run", "--rm", "--name", "one", "--network", "none", "busybox", "true"],
    "with a network, a port and a volume": [
        *("run", "-d", "--name", "one", "-p", "80", "-v", "data:/data", "-v", "/anonymous"),
        *("busybox", "sleep", "0.2"),
    ],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_run_is_killed(busybox_host, words):
    command = [*busybox_host.home.command, *words]
    busybox_host.estiba(*words)  # the first one makes what the next ones find: a bridge, a volume
    struck = 0
    clean(busybox_host, set())
    steps = steps_of(command)
    clean(busybox_host, set())
    before = names_in(f"{busybox_host.root}/snapshots")
    for step in steps:
        with Struck(step, command) as one:
            struck += bool(one.word)
            seen = names_in(f"{busybox_host.root}/containers") | names_in(f"{busybox_host.run_directory}/containers")
            tell_the_truth(busybox_host, f"{step} {one.word}")
            busybox_host.estiba("rm", "-f", "-v", "one", check=False)
            one.wait()
        clean(busybox_host, seen)
        assert names_in(f"{busybox_host.root}/snapshots") == before, f"after {step} {one.word}"
    assert struck >= len(steps) * 2 // 3, "a command does the same each time, but for a few steps"


@pytest.mark.parametrize("words", [["exec", "one", "true"], ["stop", "-t", "0", "one"], ["rm", "-f", "one"]], ids=str)
def test_a_command_with_a_running_container_is_killed(busybox_host, words):
    """An `exec` that is killed leaves its container alone."""
    command = [*busybox_host.home.command, *words]

    def begin() -> None:
        busybox_host.estiba("rm", "-f", "-v", "one", check=False)
        busybox_host.estiba("run", "-d", "--name", "one", "-p", "80", "busybox", "sleep", "1000")

    begin()
    steps = steps_of(command)
    begin()
    for step in steps:
        if words[0] != "exec" or busybox_host.estiba("ps", "-q").stdout == "":
            begin()
        seen = names_in(f"{busybox_host.root}/containers")
        with Struck(step, command) as one:
            one.wait()
        tell_the_truth(busybox_host, f"{step} {one.word}")
        if words[0] == "exec":
            assert busybox_host.estiba("exec", "one", "echo", "well").stdout == "well\n", f"after {step} {one.word}"
        else:
            busybox_host.estiba("rm", "-f", "-v", "one", check=False)
            clean(busybox_host, seen)


def tell_the_truth(host, where: str) -> None:
    """Whatever `ps` says to run does run or has just ended, and what it says of another has no process."""
    for line in host.estiba("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}").stdout.splitlines():
        identity, state = line.split()
        if state == "running":
            entered = host.estiba("exec", identity, "true", check=False)
            assert entered.returncode == 0 or "not running" in entered.stderr or "o such" in entered.stderr, where
        elif state in ("exited", "created"):
            # What `ps` calls created may be on its way.
            wait = host.wait_until
            wait(lambda: not host.monitors() or host.estiba("ps", "-q").stdout != "", f"{where}: no monitor is left")


def clean(host, names: set[str]) -> None:
    """Nothing of containers is there after a garbage collection: files, networks, control groups."""
    host.wait_until(lambda: not host.monitors(), "the monitors end", patience=PATIENCE)
    host.estiba("rm", "-f", "-v", *(host.estiba("ps", "-aq").stdout.split() or ["none"]), check=False)
    places = [f"{host.root}/containers", f"{host.run_directory}/containers"]
    for place in [*places, f"{host.root}/volumes"]:
        for name in names_in(place):
            os.utime(f"{place}/{name}", (1, 1))  # the young may be somebody's who is at work
            names = names | {name}
    host.estiba("gc")
    assert [name for place in places for name in names_in(place)] == []
    assert names_in(f"{host.run_directory}/runtime") == set()
    assert groups_of(names) == []
    assert Networks(root=host.root, run=host.run_directory).endpoints("bridge") == {}
    assert names_in(f"{host.root}/volumes") <= {"data"}, "anonymous volumes go with their container"
