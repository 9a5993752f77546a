"""`kill -9` of any process of the runtime at any step of its verbs: `delete --force` leaves nothing.

The steps are found by `strike.py`; `scripts/stress` strikes at all of them, `make test` at some.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from strikes import Struck, steps_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]


@pytest.fixture
def name(box) -> str:
    return f"est-{os.path.basename(box.directory)}-struck"


@pytest.mark.parametrize("verb", ["create", "run"])
def test_what_makes_a_container_is_killed(box, name, verb):
    """A created container waits for its start: the steps up to there are those of a creation that is killed there."""
    bundle = box.bundle("true")
    detached = ["--detach"] if verb == "run" else []
    command = [*box.command, verb, *detached, "-b", bundle, name]
    steps, struck = _steps(box, name, command), 0
    for step in steps:
        with Struck(step, command) as one:
            struck += bool(one.word)
            _told(box, name, f"{step} {one.word}")
            _delete(box, name, f"{step} {one.word}")
            one.wait()
            # One that was on its way to the container meets its end afterwards.
            _delete(box, name, f"{step} {one.word}, at the end")
    assert struck >= len(steps) * 9 // 10, "a verb does the same each time, but for a few steps at its end"


@pytest.mark.parametrize("verb", ["start", pytest.param("exec", marks=pytest.mark.long), "kill", "delete"])
def test_what_acts_on_a_container_is_killed(box, name, verb):
    """An `exec` that is killed leaves its container alone."""
    more = {"start": [name], "exec": [name, "true"], "kill": [name, "KILL"], "delete": ["--force", name]}[verb]
    command = [*box.command, verb, *more]

    def begin() -> None:
        _delete(box, name, "before")
        (box.create if verb == "start" else box.start)(name, "sleep", "1000")

    begin()
    steps, struck = steps_of(command), 0
    for step in steps:
        begin()
        with Struck(step, command, ends=True) as one:
            one.wait()
        struck += bool(one.word)
        where = f"{step} {one.word}"
        _told(box, name, where)
        if verb == "exec":
            assert box.call("exec", name, "echo", "well").stdout == "well\n", where
        _delete(box, name, where)
    assert struck >= len(steps) * 9 // 10, "a verb does the same each time, but for a few steps at its end"


def _steps(box, name: str, command: list[str]) -> list[str]:
    """Found by a creation that is deleted by another process, since what it makes may wait for ever."""
    return steps_of(command, afterwards=lambda: _delete(box, name, "the first"))


def _told(box, name: str, where: str) -> None:
    """`state` answers, with the container's process where there is one."""
    done = box.call("state", name)
    if done.returncode == 0 and '"running"' in done.stdout.replace(" ", ""):
        entered = box.call("exec", name, "true")
        assert entered.returncode == 0 or "not running" in entered.stderr, f"{where}: {entered.stderr}"
    else:
        assert done.returncode == 0 or "does not exist" in done.stderr, f"{where}: {done.stderr}"


def _delete(box, name: str, where: str) -> None:
    done = box.call("delete", "--force", name)
    assert done.returncode == 0, f"{where}: {done.stderr}"
    assert not os.path.isdir(box.root) or os.listdir(box.root) == [], where
    found = subprocess.run(["find", "/sys/fs/cgroup", "-name", name], capture_output=True, text=True, check=False)
    assert found.stdout == "", where
