"""`kill -9` of any process of a command at any of its steps: the next command says the truth, and nothing is left.

The steps are the system calls that `strike.py` finds: the command, its monitor, the runtime and the container's first
process are killed right before one of them. `scripts/stress` strikes at all of them, `make test` at some.
"""

from __future__ import annotations

import os
import shlex
import shutil

import pytest

from estiba.networks.networks import Networks
from strikes import PATIENCE, Struck, steps_of

pytestmark = [
    pytest.mark.long,
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


SLEEP = ("busybox", "sleep", "1000")
RUNS = {
    "in the foreground": ["run", "--rm", "--name", "one", "--network", "none", "busybox", "true"],
    "with a network, a port and a volume": [
        *("run", "-d", "--name", "one", "-p", "80", "-v", "data:/data", "-v", "/anonymous"),
        *("busybox", "sleep", "0.2"),
    ],
    "with a terminal and an init": ["run", "-dt", "--init", "--name", "one", "--network", "none", "busybox", "true"],
    "with ids of its own": ["run", "--rm", "--userns=auto", "--name", "one", "busybox", "true"],
    "started again and again": [
        *("run", "-d", "--restart", "on-failure:2", "--name", "one", "--network", "none", "busybox", "false"),
    ],
    "by crun": [
        "--runtime",
        "crun",
        "run",
        "--userns=host",
        "--rm",
        "--name",
        "one",
        "--network=none",
        "busybox",
        "true",
    ],
    "only created": ["create", "--name", "one", "-p", "80", "-v", "data:/data", "-v", "/anonymous", *SLEEP],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_run_is_killed(busybox_host, words):
    """The command, its monitor, the runtime and the container's first process, at every step of a whole life."""
    if "crun" in words and shutil.which("crun") is None:
        pytest.skip("crun is not installed")
    command = busybox_host.command(*words)
    busybox_host.estiba(*words, check=False)  # the first one makes what the next ones find: a bridge, a volume
    struck = 0
    clean(busybox_host, set())
    steps = steps_of(command)
    clean(busybox_host, set())
    before = names_in(f"{busybox_host.root}/snapshots")
    for step in steps:
        with Struck(step, command, ends=True) as one:
            struck += bool(one.word)
            print(step, one.word, flush=True)
            seen = names_in(f"{busybox_host.root}/containers") | names_in(f"{busybox_host.run_directory}/containers")
            if one.word:  # else it may meet what is asked now
                tell_the_truth(busybox_host, f"{step} {one.word}")
            busybox_host.estiba("rm", "-f", "-v", "one", check=False)
            one.wait()
        clean(busybox_host, seen)
        assert names_in(f"{busybox_host.root}/snapshots") == before, f"after {step} {one.word}"
    assert struck >= len(steps) * 9 // 10, (
        "a command does the same each time, but for a few of the monitor's last steps"
    )


ACTS = {
    "start": (["create", "--name", "one", "-p", "80", *SLEEP], ["start", "one"]),
    "exec": (["run", "-d", "--name", "one", "-p", "80", *SLEEP], ["exec", "one", "true"]),
    "exec with a terminal": (["run", "-d", "--name", "one", *SLEEP], ["exec", "-t", "one", "true"]),
    "exec by crun": (
        ["--runtime", "crun", "run", "--userns=host", "-d", "--name", "one", *SLEEP],
        ["exec", "one", "true"],
    ),
    "stop": (["run", "-d", "--name", "one", "-p", "80", *SLEEP], ["stop", "-t", "0", "one"]),
    "kill": (["run", "-d", "--rm", "--name", "one", *SLEEP], ["kill", "one"]),
    "restart": (["run", "-d", "--name", "one", "-p", "80", *SLEEP], ["restart", "-t", "0", "one"]),
    "rm": (["run", "-d", "--name", "one", "-p", "80", "-v", "/anonymous", *SLEEP], ["rm", "-f", "-v", "one"]),
}


CHILD_OF_CRUN = 3
"""How deep in the tree of forks they are: the shell, the command, crun, its child."""


@pytest.mark.parametrize(("first", "words"), ACTS.values(), ids=ACTS)
def test_what_is_done_to_a_container_is_killed(busybox_host, first, words):
    """The command, the container's monitor or any other process, while the command is at work.

    An `exec` that is killed leaves its container alone, unless it was the monitor that was killed.
    """
    if "crun" in first and shutil.which("crun") is None:
        pytest.skip("crun is not installed")
    mark = f"{busybox_host.home.directory}/mark"
    script = f'{shlex.join(busybox_host.command(*first))}; mkdir {mark}1; "$@"; mkdir {mark}2'
    command = ["/bin/sh", "-c", script, "sh", *busybox_host.command(*words)]

    def remove() -> None:
        busybox_host.estiba("rm", "-f", "-v", "one", check=False)

    for each in (first, words):  # the first ones make what the next ones find: a bridge
        busybox_host.estiba(*each)
    remove()
    struck = 0
    clean(busybox_host, set())
    steps = steps_of(command, afterwards=remove, between=mark)
    if "crun" in first:  # it waits for ever for a child of its own that was killed
        steps = [step for step in steps if step.partition(":")[0].count(".") < CHILD_OF_CRUN]
    clean(busybox_host, set())
    for step in steps:
        with Struck(step, command) as one:
            struck += bool(one.word)
            one.settle()
            where = f"{step} {one.word}"
            print(where, flush=True)
            seen = names_in(f"{busybox_host.root}/containers") | names_in(f"{busybox_host.run_directory}/containers")
            if one.word:  # else it may meet what is asked now
                tell_the_truth(busybox_host, where)
            if one.word and words[0] == "exec" and len(busybox_host.monitors()) == 1:
                assert busybox_host.estiba("exec", "one", "echo", "well").stdout == "well\n", f"after {where}"
            remove()
            one.wait()
        if words[0] == "rm":  # whether its volumes were to go too, a killed one has told nobody
            busybox_host.estiba("volume", "prune", "-f")
        clean(busybox_host, seen)
    assert struck >= len(steps) * 9 // 10, (
        "a command does the same each time, but for a few of the monitor's last steps"
    )


def tell_the_truth(host, where: str) -> None:
    """Whatever `ps` says to run does run or has just ended, and what it says of another has no process."""
    for line in host.estiba("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}").stdout.splitlines():
        identity, state = line.split()
        if state == "running":
            entered = host.estiba("exec", identity, "true", check=False)
            has_ended = any(words in entered.stderr for words in ("not running", "o such", "is restarting"))
            assert entered.returncode == 0 or has_ended, where
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
